-- Since when the longest waiting ready job of a queue could have run; null when none waits.
-- Each (type, priority) of a queue keeps its ready jobs by id, and ids are by age, so the oldest is the oldest of
-- the first ones: one probe of the key a pair, however many jobs wait. A job counts from the time in its id, or
-- from scheduled_for.
create or replace function hivelog.oldest_ready(in_queue smallint) returns timestamptz
language sql stable set enable_seqscan = off as $$
    with recursive firsts as (
        (select r.type, r.priority, r.job, r.spec from hivelog.ready r where r.queue = in_queue
            order by r.type, r.priority desc, r.job limit 1)
        union all
        select n.type, n.priority, n.job, n.spec from firsts f
        cross join lateral (
            select * from (
                (select 1 as turn, r.type, r.priority, r.job, r.spec from hivelog.ready r
                    where r.queue = in_queue and r.type = f.type and r.priority < f.priority
                    order by r.priority desc, r.job limit 1)
                union all
                (select 2, r.type, r.priority, r.job, r.spec from hivelog.ready r
                    where r.queue = in_queue and r.type > f.type
                    order by r.type, r.priority desc, r.job limit 1)
            ) n
            order by n.turn limit 1
        ) n
    )
    select min(greatest(
        to_timestamp(('x' || substr(translate(f.job::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0),
        (f.spec ->> 'scheduled_for')::timestamptz))
    from firsts f
$$;
