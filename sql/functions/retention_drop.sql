-- Drops a table that retention took off the log and that nothing hangs on any more.
create or replace function hivelog.retention_drop(gone text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if gone !~ '^events_gone_' or exists (select from hivelog.events_partitions() p where p.name = gone) then
        raise exception '% was not taken off the log', gone using errcode = 'HL020';
    end if;
    execute format('drop table if exists hivelog.%I', gone);
end $$;
