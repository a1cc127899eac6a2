-- The figures of one queue, or of all, in one statement: what the log says at one instant.
-- Parameters: queue (its number; null: all that are not deleted).
-- Answer: a row a queue: position (the log's head), now, projected (up to where the counts have folded it),
-- queue (name), and the contract's figures.
--
-- Windows are whole units that end with the current one: 60 and 3,600 seconds, 1,440 minutes; a day reads
-- hours, and minutes only at its far edge. Ends are completed + failed + expired. Percentiles are nearest
-- rank over hivelog.bucket's buckets (9 % wide, exact below 12 ms).
with clock as materialized (
    select b.position, greatest(hivelog.now(), b.recorded_at) as now,
        (select p.position from hivelog.projections p where p.name = 'jobs' and p.live) as projected
    from hivelog.batches b order by b.position desc limit 1
), edges as materialized (
    select c.*, floor(date_part('epoch', c.now))::bigint as second,
        date_trunc('day', c.now, 'UTC') as today,
        date_trunc('minute', c.now, 'UTC') - interval '1439 minutes' as day_ago,
        date_trunc('hour', c.now - interval '1380 minutes', 'UTC') as whole_hours
    from clock c
), chosen as materialized (
    select q.id, q.name, q.paused, q.max_workers from hivelog.queues q
    where case when %(queue)s::smallint is null then not q.deleted else q.id = %(queue)s end
), day as materialized (
    select m.queue, m.completed, m.failed, m.expired, m.run_ms, m.runs
    from chosen q, edges e, hivelog.queue_minutes m
    where m.queue = q.id and m.minute >= e.day_ago and m.minute < e.whole_hours
    union all
    select h.queue, h.completed, h.failed, h.expired, h.run_ms, h.runs
    from chosen q, edges e, hivelog.queue_hours h
    where h.queue = q.id and h.hour >= e.whole_hours
), ended as (
    select d.queue, sum(d.completed) as completed, sum(d.failed + d.expired) as failed, sum(d.run_ms) as run_ms
    from day d group by d.queue
), today as (
    select h.queue, sum(h.completed) as completed, sum(h.failed + h.expired) as failed
    from chosen q, edges e, hivelog.queue_hours h
    where h.queue = q.id and h.hour >= e.today
    group by h.queue
), ranked as (
    select b.queue, b.bucket, sum(b.n) over (partition by b.queue order by b.bucket) as rank,
        sum(b.n) over (partition by b.queue) as total
    from (
        select d.queue, u.n - 1 as bucket, sum(u.count) as n
        from day d cross join lateral unnest(d.runs) with ordinality u (count, n)
        where u.count > 0
        group by 1, 2
    ) b
), percentiles as (
    select r.queue, hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.50))::integer) as p50,
        hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.95))::integer) as p95,
        hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.99))::integer) as p99
    from ranked r group by r.queue
), recent as (
    select m.queue, sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 60) as minute,
        sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 3600) as hour
    from chosen q, edges e, hivelog.queue_minutes m
    cross join lateral unnest(m.ended_seconds) with ordinality u (count, n)
    where m.queue = q.id and m.minute >= date_trunc('minute', e.now, 'UTC') - interval '60 minutes'
    group by m.queue
), serving as (
    select q.id as queue, count(*) as workers, sum(s.slots) as slots
    from chosen q join hivelog.sessions s on q.name = any (s.queues)
    group by q.id
)
select e.position, e.now, e.projected, q.name as queue,
    coalesce(m.pending, 0) as pending, coalesce(m.ready, 0) as queued,
    coalesce(m.pending + m.ready, 0) as depth, coalesce(m.running, 0) as processing,
    coalesce(t.completed, 0)::bigint as completed_today, coalesce(t.failed, 0)::bigint as failed_today,
    (100.0 * d.completed / nullif(d.completed + d.failed, 0))::float8 as success_rate,
    (100.0 - 100.0 * d.completed / nullif(d.completed + d.failed, 0))::float8 as error_rate,
    (d.run_ms / nullif(d.completed, 0) / 1000)::float8 as avg_processing_time,
    p.p50 / 1000 as p50, p.p95 / 1000 as p95, p.p99 / 1000 as p99,
    coalesce(r.minute, 0)::float8 / 60 as throughput,
    coalesce(r.minute, 0)::bigint as per_minute, coalesce(r.hour, 0)::bigint as per_hour,
    date_part('epoch', case when o.since is not null then greatest(e.now - o.since, interval '0') end)
        as oldest_waiting_seconds, q.paused,
    coalesce(s.workers, 0)::integer as workers,
    least(q.max_workers, coalesce(s.slots, 0))::integer as capacity,
    (coalesce(m.running, 0)::float8 / nullif(least(q.max_workers, coalesce(s.slots, 0)), 0)) as utilization
from chosen q
cross join edges e
left join lateral (
    select m.* from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
) m on true
left join today t on t.queue = q.id
left join ended d on d.queue = q.id
left join percentiles p on p.queue = q.id
left join recent r on r.queue = q.id
left join lateral (select hivelog.oldest_ready(q.id) as since) o on true
left join serving s on s.queue = q.id
order by q.name
