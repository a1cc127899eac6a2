-- Ends the partition that is being written when its first event is older than `age`, and goes on in a new one:
-- a log of few events a day would not fill a partition in years, and only whole ones go. Answers whether it did.
-- To attach the part that is written means to read it once, while appends wait, some 0.1 s a million events: one with
-- more than two million is left to fill by itself.
-- Gives up after 200 ms where readers are in the way (55P03).
create or replace function hivelog.cut_partition(age interval) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
set client_min_messages = error
as $$
declare
    p record; head bigint; begun timestamptz;
begin
    if not pg_try_advisory_xact_lock(hivelog.partition_lock()) then
        return false;
    end if;
    select max(b.position) into head from hivelog.batches b;
    select x.* into p from hivelog.events_partitions() x where x.low <= head and x.high > head + 1;
    select e.recorded_at into begun from hivelog.events e
    where e.position >= p.low and e.position < p.high order by e.position limit 1;
    if begun is null or begun > hivelog.now() - age or head - p.low > 2000000 then
        return false;
    end if;
    perform pg_advisory_xact_lock(hivelog.append_lock());
    select max(b.position) into head from hivelog.batches b;
    if head + 1 >= p.high then
        return false;
    end if;
    execute format('alter table hivelog.events detach partition hivelog.%I', p.name);
    execute format('alter table hivelog.events attach partition hivelog.%I for values from (%s) to (%s)',
        p.name, p.low, head + 1);
    perform hivelog.add_events_partition(head + 1, p.high);
    return true;
end $$;
