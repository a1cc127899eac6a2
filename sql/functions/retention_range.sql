-- The first and the last position in a table that retention took off the log; null where it is empty.
create or replace function hivelog.retention_range(gone text, out low bigint, out high bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    if gone !~ '^events_gone_' then
        raise exception '% was not taken off the log', gone using errcode = 'HL020';
    end if;
    execute format('select min(g.position), max(g.position) from hivelog.%I g', gone) into low, high;
end $$;
