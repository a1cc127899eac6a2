-- How many ready jobs run before this one, and what is known of the queue's speed.
-- Parameters: job, queue, type, priority (of the ready job), most (count no farther).
-- Answer: one row: waits (it is ready), ahead (at most `most`), paused, capacity (null: no worker serves it),
-- samples (attempts that completed in the last 24 h, by whole hours), run_ms (of them), now.
-- Each type of the queue keeps its jobs in the order in which they run, so what is ahead is at its front.
with recursive types as (
    (select r.type from hivelog.ready r where r.queue = %(queue)s order by r.type limit 1)
    union all
    select n.type from types t cross join lateral (
        select r.type from hivelog.ready r where r.queue = %(queue)s and r.type > t.type
        order by r.type limit 1
    ) n
)
select exists (
        select from hivelog.ready r where r.queue = %(queue)s and r.type = %(type)s
            and r.priority = %(priority)s and r.job = %(job)s
    ) as waits,
    (select count(*)::integer from (
        select from types t cross join lateral (
            (select r.job from hivelog.ready r
                where r.queue = %(queue)s and r.type = t.type and r.priority > %(priority)s limit %(most)s)
            union all
            (select r.job from hivelog.ready r
                where r.queue = %(queue)s and r.type = t.type and r.priority = %(priority)s
                    and r.job < %(job)s limit %(most)s)
        ) a
        limit %(most)s
    ) x) as ahead,
    q.paused,
    (select least(q.max_workers, sum(s.slots))::integer from hivelog.sessions s
        where q.name = any (s.queues)) as capacity,
    d.samples, d.run_ms, hivelog.now() as now
from hivelog.queues q
cross join lateral (
    select coalesce(sum(h.completed), 0)::bigint as samples, coalesce(sum(h.run_ms), 0)::float8 as run_ms
    from hivelog.queue_hours h
    where h.queue = q.id and h.hour > hivelog.now() - interval '24 hours'
) d
where q.id = %(queue)s
