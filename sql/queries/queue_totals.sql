-- What ever happened in each queue, from an hour on (null: from the first), the newest hour apart.
-- Parameters: since.
-- Answer: a row a queue and part: generation and position of the projection, newest (the last hour that
-- anything happened in), queue (name), deleted, closed (hours before the newest: the log never goes back, so these are
-- final), enqueued, started, completed, failed, cancelled, expired, lost, wait_ms, run_ms, and the histograms of
-- waits and runs as slots and counts. A slot is half an octave, four of hivelog.bucket's: slot n holds
-- 2^((n - 1) / 2) up to 2^(n / 2) ms, slot 0 less than 1 ms.
with edge as materialized (
    select p.generation, p.position, (select max(h.hour) from hivelog.queue_hours h) as newest
    from hivelog.projected('jobs') p
), hours as materialized (
    select h.*, h.hour < e.newest as closed
    from edge e, hivelog.queue_hours h
    where h.hour >= coalesce(%(since)s::timestamptz, '-infinity') and h.queue > 0
), parts as (
    select h.queue, h.closed, sum(h.enqueued)::bigint as enqueued, sum(h.started)::bigint as started,
        sum(h.completed)::bigint as completed, sum(h.failed)::bigint as failed,
        sum(h.cancelled)::bigint as cancelled, sum(h.expired)::bigint as expired, sum(h.lost)::bigint as lost,
        sum(h.wait_ms)::bigint as wait_ms, sum(h.run_ms)::bigint as run_ms
    from hours h group by h.queue, h.closed
), slots as (
    select h.queue, h.closed, u.waits, ceil((u.bucket - 1) / 4.0)::integer as slot, sum(u.count)::bigint as n
    from hours h cross join lateral (
        select true, w.n, w.count from unnest(h.waits) with ordinality w (count, n) where w.count > 0
        union all
        select false, r.n, r.count from unnest(h.runs) with ordinality r (count, n) where r.count > 0
    ) u (waits, bucket, count)
    group by 1, 2, 3, 4
), histograms as (
    select s.queue, s.closed,
        array_agg(s.slot) filter (where s.waits) as wait_slots, array_agg(s.n) filter (where s.waits) as waits,
        array_agg(s.slot) filter (where not s.waits) as run_slots, array_agg(s.n) filter (where not s.waits) as runs
    from slots s group by s.queue, s.closed
)
select e.generation, e.position, e.newest, q.name, q.deleted, coalesce(p.closed, false),
    coalesce(p.enqueued, 0), coalesce(p.started, 0), coalesce(p.completed, 0), coalesce(p.failed, 0),
    coalesce(p.cancelled, 0), coalesce(p.expired, 0), coalesce(p.lost, 0),
    coalesce(p.wait_ms, 0), coalesce(p.run_ms, 0),
    coalesce(h.wait_slots, '{}'), coalesce(h.waits, '{}'), coalesce(h.run_slots, '{}'), coalesce(h.runs, '{}')
from edge e
cross join hivelog.queues q
left join parts p on p.queue = q.id
left join histograms h on h.queue = p.queue and h.closed = p.closed
order by q.name
