-- Makes partitions of hivelog.events until `ahead` of them lie wholly beyond the head. Answers how many it
-- made; 0 as well when another process is at it. May be called by anybody who may run the application.
-- A range that the default partition holds rows of stays there: those rows cannot be moved.
-- An attach waits for readers of the default partition: at most 200 ms, so that no append queues up behind it
-- for longer; then it raises 55P03 (lock_not_available), and the caller tries again later.
create or replace function hivelog.ensure_partitions(ahead integer default 2) returns integer
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
set client_min_messages = error
as $$
declare
    size constant bigint := hivelog.partition_size();
    head bigint; strayed bigint; made integer := 0;
begin
    if not pg_try_advisory_xact_lock(7308620204983578984) then
        return 0;
    end if;
    select max(b.position) into head from hivelog.batches b;
    select max(e.position) into strayed from hivelog.events_default e;
    for n in greatest(head / size, coalesce(strayed / size, -1) + 1)..head / size + ahead loop
        continue when to_regclass('hivelog.events_' || lpad(n::text, 6, '0')) is not null;
        perform hivelog.add_events_partition(n);
        made := made + 1;
    end loop;
    return made;
end $$;
