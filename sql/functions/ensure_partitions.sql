-- Makes partitions of hivelog.events until `ahead` of them lie wholly beyond the head. Answers how many it
-- made; 0 as well when another process is at it. May be called by anybody who may run the application.
-- What the default partition holds stays there: those rows cannot be moved, so partitions begin after them.
-- An attach waits for readers of the default partition: at most 200 ms, so that no append queues up behind it
-- for longer; then it raises 55P03 (lock_not_available), and the caller tries again later.
create or replace function hivelog.ensure_partitions(ahead integer default 2) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
set client_min_messages = error
as $$
declare
    size bigint; head bigint; strayed bigint; next_low bigint; beyond bigint; made integer := 0;
begin
    if not pg_try_advisory_xact_lock(hivelog.partition_lock()) then
        return 0;
    end if;
    select max(b.position) into head from hivelog.batches b;
    select max(e.position) into strayed from hivelog.events_default e;
    select hivelog.partition_size(count(*)), max(p.high), count(*) filter (where p.low > head)
    into size, next_low, beyond from hivelog.events_partitions() p;
    next_low := coalesce(next_low, 0);
    if greatest(head, strayed) >= next_low then
        -- The head has run past all of them: on from the next multiple, so that no append is under way there.
        next_low := case when strayed >= next_low then (strayed / size + 1) * size
            else greatest(next_low, head / size * size) end;
    end if;
    while beyond < ahead loop
        perform hivelog.add_events_partition(next_low, next_low + size);
        beyond := beyond + (next_low > head)::integer;
        next_low := next_low + size;
        made := made + 1;
    end loop;
    return made;
end $$;
