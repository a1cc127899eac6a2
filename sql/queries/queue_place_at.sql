-- queue_place at a moment of the past. Parameters: job, queue, type, priority, most as there; position, now.
-- Answer: as queue_place.
with waiting as materialized (
    select w.* from hivelog.waiting_at(array[%(queue)s::smallint], %(position)s::bigint) w where w.able
), edges as (
    select x.now, date_trunc('minute', x.now, 'UTC') as minute, date_trunc('hour', x.now, 'UTC') as hour,
        hivelog.position_at(date_trunc('minute', x.now, 'UTC') - interval '1 millisecond') as over
    from (select %(now)s::timestamptz as now) x
)
select exists (select from waiting w where w.job = %(job)s) as waits,
    (select count(*)::integer from (
        select from waiting w where w.priority > %(priority)s or w.priority = %(priority)s and w.job < %(job)s
        limit %(most)s
    ) x) as ahead,
    q.paused,
    (select least(q.max_workers, sum(s.slots))::integer
        from hivelog.sessions_at(%(position)s::bigint, %(now)s::timestamptz) s
        where q.name = any (s.queues)) as capacity,
    d.samples, d.run_ms, e.now
from edges e, hivelog.queues_at(%(position)s::bigint) q
cross join lateral (
    select coalesce(sum(x.completed), 0)::bigint as samples, coalesce(sum(x.run_ms), 0)::float8 as run_ms
    from (
        select h.completed, h.run_ms from hivelog.queue_hours h, edges e
        where h.queue = %(queue)s and h.hour > e.now - interval '24 hours' and h.hour < e.hour
        union all
        select m.completed, m.run_ms from hivelog.queue_minutes m, edges e
        where m.queue = %(queue)s and m.minute >= e.hour and m.minute < e.minute
        union all
        select 1, round(date_part('epoch', r.ended_at - r.started_at) * 1000)::bigint from hivelog.rounds r, edges e
        where r.ended > e.over and r.ended <= %(position)s::bigint and r.status = 'completed'
            and r.queue = %(queue)s
    ) x
) d
where q.id = %(queue)s
