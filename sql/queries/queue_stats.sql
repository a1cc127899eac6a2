-- The figures of one queue, or of all, in one statement: what the log says at one instant.
-- Parameters: queue (its number; null: all that are not deleted); kept_*: what is known already of the window of
-- 24 hours (see projections/day.py), or empty.
-- Answer: a row a queue: position (the log's head), now, projected (up to where the counts have folded it),
-- queue (name), the contract's figures, and the generation of the projection.
--
-- Windows are whole units that end with the current one: 60 and 3,600 seconds, 1,440 minutes; a day reads
-- hours, and minutes only at its far edge. Ends are completed + failed + expired. Percentiles are nearest
-- rank over hivelog.bucket's buckets (9 % wide, exact below 12 ms).
with clock as materialized (
    select b.position, greatest(hivelog.now(), b.recorded_at) as now,
        p.position as projected, p.generation
    from (select * from hivelog.batches order by position desc limit 1) b
    cross join hivelog.projected('jobs') p
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
    -- What left the window since it was remembered, then what is not remembered. Each queue's rows are looked up by
    -- the key, here and below (`offset 0`): a plan for all of them at once would scan the table.
    select q.id as queue, d.* from chosen q cross join edges e cross join lateral (
        select -1 as sign, m.completed, m.failed + m.expired as failed, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= %(kept_since)s::timestamptz
            and m.minute < least(e.day_ago, %(kept_upto)s::timestamptz)
        offset 0
    ) d
    union all
    select q.id, d.* from chosen q cross join edges e cross join lateral (
        select 1, m.completed, m.failed + m.expired, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= greatest(e.day_ago, %(kept_upto)s::timestamptz)
            and m.minute < e.whole_hours
        offset 0
    ) d
    union all
    select q.id, d.* from chosen q cross join edges e cross join lateral (
        select 1, h.completed, h.failed + h.expired, h.run_ms, h.runs
        from hivelog.queue_hours h
        where h.queue = q.id and h.hour >= greatest(e.whole_hours, %(kept_upto)s::timestamptz)
        offset 0
    ) d
), ended as (
    select d.queue, sum(d.completed)::bigint as completed, sum(d.failed)::bigint as failed, sum(d.run_ms) as run_ms
    from (
        select d.queue, d.sign * d.completed as completed, d.sign * d.failed as failed, d.sign * d.run_ms as run_ms
        from day d
        union all
        select k.queue, k.completed, k.failed, k.run_ms from unnest(%(kept_queues)s::smallint[],
            %(kept_completed)s::bigint[], %(kept_failed)s::bigint[], %(kept_run_ms)s::bigint[])
            k (queue, completed, failed, run_ms)
    ) d
    group by d.queue
), today as (
    select q.id as queue, sum(h.completed) as completed, sum(h.failed) as failed
    from chosen q cross join edges e cross join lateral (
        select h.completed, h.failed + h.expired as failed from hivelog.queue_hours h
        where h.queue = q.id and h.hour >= e.today
        offset 0
    ) h
    group by q.id
), ranked as (
    select b.queue, b.bucket, sum(b.n) over (partition by b.queue order by b.bucket) as rank,
        sum(b.n) over (partition by b.queue) as total
    from (
        select x.queue, x.bucket, sum(x.n)::bigint as n from (
            select d.queue, u.n - 1 as bucket, d.sign * u.count as n
            from day d cross join lateral unnest(d.runs) with ordinality u (count, n)
            where u.count > 0
            union all
            select k.queue, k.slot, k.count from unnest(%(kept_slots_of)s::smallint[], %(kept_slots)s::integer[],
                %(kept_counts)s::bigint[]) k (queue, slot, count)
        ) x
        group by 1, 2
        having sum(x.n) > 0
    ) b
), percentiles as (
    select r.queue, hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.50))::integer) as p50,
        hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.95))::integer) as p95,
        hivelog.bucket_ms(min(r.bucket) filter (where r.rank >= ceil(r.total * 0.99))::integer) as p99
    from ranked r group by r.queue
), recent as (
    -- Whole minutes by their counts; seconds only of those that an edge cuts.
    select q.id as queue, sum(c.minute) as minute,
        sum(case when date_part('epoch', m.minute) > e.second - 3600 then m.ended else c.hour end) as hour
    from chosen q cross join edges e cross join lateral (
        select m.minute, m.completed + m.failed + m.expired as ended, m.ended_seconds
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= date_trunc('minute', e.now, 'UTC') - interval '60 minutes'
        offset 0
    ) m
    left join lateral (
        select sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 60) as minute,
            sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 3600) as hour
        from unnest(m.ended_seconds) with ordinality u (count, n)
        where date_part('epoch', m.minute) <= e.second - 3600 or date_part('epoch', m.minute) > e.second - 120
    ) c on true
    group by q.id
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
    (coalesce(m.running, 0)::float8 / nullif(least(q.max_workers, coalesce(s.slots, 0)), 0)) as utilization,
    e.generation
from chosen q
cross join edges e
left join lateral (
    select m.* from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
) m on true
left join today t on t.queue = q.id
left join ended d on d.queue = q.id
left join percentiles p on p.queue = q.id
left join recent r on r.queue = q.id
-- Where marks say that none is ready, `ready` may still be full of dead rows.
left join lateral (select case when m.ready > 0 then hivelog.oldest_ready(q.id) end as since) o on true
left join serving s on s.queue = q.id
order by q.name
