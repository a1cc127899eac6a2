-- job_why at a moment of the past. Parameters: queue, type, job as there; position, now (the moment's).
-- Answer: as job_why; what only live tables know (silence, deadline, cancelling, heartbeats) is null or 0.
with serving as materialized (
    select s.id, s.slots, %(type)s = any (s.types) as able
    from hivelog.queues q
    join hivelog.sessions_at(%(position)s::bigint, %(now)s::timestamptz) s on q.name = any (s.queues)
    where q.id = %(queue)s
), running as materialized (
    select r.* from hivelog.running_at((select array_agg(q.id) from hivelog.queues q), %(position)s::bigint) r
)
select %(now)s::timestamptz as now, %(position)s::bigint as position, %(position)s::bigint as projected,
    null::timestamptz as unseen_at,
    q.stream, q.paused, e.recorded_at as paused_at, e.position as paused_position, e.actor as paused_by, q.max_workers,
    (select count(*)::integer from running r where r.queue = q.id) as running,
    (select count(*)::integer from serving) as in_queue,
    (select count(*)::integer from serving s where s.able) as able, 0 as silent,
    (select coalesce(sum(s.slots), 0)::integer from serving s where s.able) as slots,
    (select count(*)::integer from running r join serving s on s.id = r.session where s.able) as busy,
    l.session, l.started_at, null::timestamptz as deadline, null::timestamptz as cancelling, w.name, w.host, w.pid,
    null::timestamptz as last_heartbeat, null::integer as dead_after
from hivelog.queues_at(%(position)s::bigint) q
left join lateral (
    select e.recorded_at, e.position, e.actor from hivelog.events e
    where q.paused and e.stream = q.stream and e.type = 'paused' and e.position <= %(position)s::bigint
    order by e.version desc limit 1
) e on true
left join running l on l.job = %(job)s
left join hivelog.sessions_at(%(position)s::bigint, %(now)s::timestamptz) w on w.id = l.session
where q.id = %(queue)s
