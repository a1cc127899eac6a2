-- The type and the priority of a job by its story: with its queue and id, its key in `ready` whenever it is there.
create or replace function hivelog.job_key(in_job uuid, out type integer, out priority smallint)
language sql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
    select y.id, coalesce(
        (
            select (e.data ->> 'priority')::smallint from hivelog.events e
            where e.stream = in_job and e.type = 'rescheduled' and e.data ? 'priority'
            order by e.version desc limit 1
        ),
        (f.data ->> 'priority')::smallint)
    from (
        select e.data from hivelog.events e where e.stream = in_job and e.version = 1 and e.type = 'enqueued' limit 1
    ) f
    join hivelog.job_types y on y.name = f.data ->> 'type'
$$;
