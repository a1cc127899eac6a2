-- Which server this is, and on which timeline: a restored, promoted or copied one differs in one of them.
-- Where a hosted server hides its control data, the database's own number stands in: that finds a restore into
-- another database, not one in place.
create or replace function hivelog.server_identity(out system_identifier text, out timeline integer)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    begin
        select s.system_identifier::text into system_identifier from pg_control_system() s;
    exception when insufficient_privilege or undefined_function then
        select 'database:' || d.oid into system_identifier from pg_database d where d.datname = current_database();
    end;
    begin
        -- The checkpoint's timeline may be the old one for minutes after a promotion; this never is.
        timeline := ('x' || substring(pg_walfile_name(pg_current_wal_lsn()) for 8))::bit(32)::integer;
    exception when insufficient_privilege or object_not_in_prerequisite_state then
        timeline := 0;
    end;
end $$;
