-- What decides when a waiting job of a queue and type runs, and how a running one does, at one instant.
-- Parameters: queue (number), type (name), job.
-- Answer: one row: now, position (the log's head), projected (up to where the job list is), unseen_at (when the first
-- event after that was recorded), stream (the queue's), paused, paused_at, paused_position, paused_by (actor),
-- max_workers, running, in_queue (living sessions that serve the queue), able (those that run the type too), silent (of
-- these: no heartbeat for two and a half of its periods), slots and busy (of these); and of the job's lease, if it has
-- one: session (number), started_at, deadline, cancelling (since when), then its session's name, host, pid,
-- last_heartbeat and dead_after in seconds (null: it is no longer there).
with serving as materialized (
    select s.id, s.slots, %(type)s = any (s.types) as able,
        s.last_heartbeat < hivelog.now() - 2.5 * make_interval(secs => s.heartbeat) as silent
    from hivelog.queues q join hivelog.sessions s on q.name = any (s.queues)
    where q.id = %(queue)s
)
select greatest(hivelog.now(), b.recorded_at) as now, b.position,
    p.position as projected, u.recorded_at as unseen_at,
    q.stream, q.paused, e.recorded_at as paused_at, e.position as paused_position, e.actor as paused_by, q.max_workers,
    coalesce(m.running, 0) as running,
    (select count(*)::integer from serving) as in_queue,
    (select count(*)::integer from serving s where s.able) as able,
    (select count(*)::integer from serving s where s.able and s.silent) as silent,
    (select coalesce(sum(s.slots), 0)::integer from serving s where s.able) as slots,
    (select count(*)::integer from serving s cross join lateral hivelog.session_leases(s.id) l where s.able) as busy,
    l.session, l.started_at, l.deadline, l.cancelling, w.name, w.host, w.pid, w.last_heartbeat, w.dead_after
from (select * from hivelog.batches order by position desc limit 1) b
cross join hivelog.queues q
cross join hivelog.projected('jobs') p
left join hivelog.events u on u.position = p.position + 1
left join lateral (
    select m.running from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
) m on true
left join lateral (
    select e.recorded_at, e.position, e.actor from hivelog.events e
    where q.paused and e.stream = q.stream and e.type = 'paused' order by e.version desc limit 1
) e on true
left join hivelog.leases l on l.job = %(job)s
left join hivelog.sessions w on w.id = l.session
where q.id = %(queue)s
