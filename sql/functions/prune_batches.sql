-- Deletes up to `most` of the oldest rows of hivelog.batches recorded before `cutoff`; answers how many went.
-- The last row stays whatever its age: it is the head of the log.
create or replace function hivelog.prune_batches(cutoff timestamptz, most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
begin
    delete from hivelog.batches b using (
        select o.position, o.recorded_at from hivelog.batches o order by o.position limit most
    ) old
    where b.position = old.position and old.recorded_at < cutoff
        and b.position < (select max(l.position) from hivelog.batches l);
    get diagnostics gone = row_count;
    return gone;
end $$;
