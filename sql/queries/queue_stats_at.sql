-- The figures of one queue, or of all, as queue_stats gave them at a moment of the past.
-- Parameters: queue (its number; null: all that there were), position, now (the moment's). The projections
-- jobs, rounds and workers must have folded the position.
-- Answer: as queue_stats.
--
-- Hours and minutes that were over by then are read as they are; of the minute that ran the ends come from
-- the rounds that ended in it.
with edges as materialized (
    select %(position)s::bigint as position, x.now, floor(date_part('epoch', x.now))::bigint as second,
        date_trunc('day', x.now, 'UTC') as today, date_trunc('minute', x.now, 'UTC') as minute,
        date_trunc('hour', x.now, 'UTC') as hour,
        date_trunc('minute', x.now, 'UTC') - interval '1439 minutes' as day_ago,
        date_trunc('hour', x.now - interval '1380 minutes', 'UTC') as whole_hours,
        hivelog.position_at(date_trunc('minute', x.now, 'UTC') - interval '1 millisecond') as over
    from (select %(now)s::timestamptz as now) x
), chosen as materialized (
    select q.id, q.name, q.paused, q.max_workers from hivelog.queues_at(%(position)s::bigint) q
    where case when %(queue)s::smallint is null then not q.deleted else q.id = %(queue)s end
), numbers as materialized (
    select coalesce(array_agg(q.id), '{}') as ids from chosen q
), running_minute as materialized (
    select r.queue, r.status, r.ended_at, round(date_part('epoch', r.ended_at - r.started_at) * 1000) as run_ms
    from edges e, hivelog.rounds r
    where r.ended > e.over and r.ended <= e.position and r.status in ('completed', 'failed', 'expired')
), tail as materialized (
    select t.queue, e.minute, count(*) filter (where t.status = 'completed')::integer as completed,
        count(*) filter (where t.status <> 'completed')::integer as failed,
        coalesce(sum(t.run_ms) filter (where t.status = 'completed'), 0)::bigint as run_ms,
        count(*) filter (where floor(date_part('epoch', t.ended_at)) > e.second - 60)::integer as last_minute,
        count(*)::integer as ends
    from running_minute t, edges e
    group by t.queue, e.minute
), day as materialized (
    -- Each queue's rows are looked up by the key, as in queue_stats.
    select q.id as queue, d.* from chosen q cross join edges e cross join lateral (
        select m.minute as at, m.completed, m.failed + m.expired as failed, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= e.day_ago and m.minute < e.whole_hours
        offset 0
    ) d
    union all
    select q.id, d.* from chosen q cross join edges e cross join lateral (
        select m.minute, m.completed, m.failed + m.expired, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= e.hour and m.minute < e.minute
        offset 0
    ) d
    union all
    select q.id, d.* from chosen q cross join edges e cross join lateral (
        select h.hour, h.completed, h.failed + h.expired, h.run_ms, h.runs
        from hivelog.queue_hours h
        where h.queue = q.id and h.hour >= e.whole_hours and h.hour < e.hour
        offset 0
    ) d
    union all
    select t.queue, t.minute, t.completed, t.failed, t.run_ms, '{}' from tail t
), ended as (
    select d.queue, sum(d.completed) as completed, sum(d.failed) as failed, sum(d.run_ms) as run_ms
    from day d group by d.queue
), today as (
    select d.queue, sum(d.completed) as completed, sum(d.failed) as failed
    from day d, edges e where d.at >= e.today
    group by d.queue
), ranked as (
    select b.queue, b.bucket, sum(b.n) over (partition by b.queue order by b.bucket) as rank,
        sum(b.n) over (partition by b.queue) as total
    from (
        select x.queue, x.bucket, sum(x.n) as n from (
            select d.queue, u.n - 1 as bucket, u.count as n
            from day d cross join lateral unnest(d.runs) with ordinality u (count, n)
            where u.count > 0
            union all
            select t.queue, hivelog.bucket(t.run_ms), 1 from running_minute t where t.status = 'completed'
        ) x
        group by 1, 2
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
        where m.queue = q.id and m.minute >= e.minute - interval '60 minutes' and m.minute < e.minute
        offset 0
    ) m
    left join lateral (
        select sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 60) as minute,
            sum(u.count) filter (where date_part('epoch', m.minute) + u.n - 1 > e.second - 3600) as hour
        from unnest(m.ended_seconds) with ordinality u (count, n)
        where date_part('epoch', m.minute) <= e.second - 3600 or date_part('epoch', m.minute) > e.second - 120
    ) c on true
    group by q.id
), firsts as (
    select distinct on (w.queue, w.type, w.priority) w.queue, w.job
    from numbers n, hivelog.waiting_at(n.ids, %(position)s::bigint) w
    where w.able
    order by w.queue, w.type, w.priority, w.job
), oldest as (
    select f.queue, min(greatest(
        to_timestamp(('x' || substr(translate(f.job::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0),
        (e.data ->> 'scheduled_for')::timestamptz)) as since
    from firsts f
    join hivelog.jobs j on j.id = f.job
    join hivelog.events e on e.position = j.enqueued
    group by f.queue
), serving as (
    select q.id as queue, count(*) as workers, sum(s.slots) as slots
    from chosen q
    join hivelog.sessions_at(%(position)s::bigint, %(now)s::timestamptz) s on q.name = any (s.queues)
    group by q.id
)
select e.position, e.now, e.position as projected, q.name as queue,
    m.pending, m.ready as queued, m.pending + m.ready as depth, m.running as processing,
    coalesce(t.completed, 0)::bigint as completed_today, coalesce(t.failed, 0)::bigint as failed_today,
    (100.0 * d.completed / nullif(d.completed + d.failed, 0))::float8 as success_rate,
    (100.0 - 100.0 * d.completed / nullif(d.completed + d.failed, 0))::float8 as error_rate,
    (d.run_ms / nullif(d.completed, 0) / 1000)::float8 as avg_processing_time,
    p.p50 / 1000 as p50, p.p95 / 1000 as p95, p.p99 / 1000 as p99,
    (coalesce(r.minute, 0) + coalesce(l.last_minute, 0))::float8 / 60 as throughput,
    (coalesce(r.minute, 0) + coalesce(l.last_minute, 0))::bigint as per_minute,
    (coalesce(r.hour, 0) + coalesce(l.ends, 0))::bigint as per_hour,
    date_part('epoch', case when o.since is not null then greatest(e.now - o.since, interval '0') end)
        as oldest_waiting_seconds, q.paused,
    coalesce(s.workers, 0)::integer as workers,
    least(q.max_workers, coalesce(s.slots, 0))::integer as capacity,
    (m.running::float8 / nullif(least(q.max_workers, coalesce(s.slots, 0)), 0)) as utilization
from chosen q
cross join edges e
join hivelog.depths_at((select n.ids from numbers n), %(position)s::bigint, %(now)s::timestamptz) m on m.queue = q.id
left join today t on t.queue = q.id
left join ended d on d.queue = q.id
left join tail l on l.queue = q.id
left join percentiles p on p.queue = q.id
left join recent r on r.queue = q.id
left join oldest o on o.queue = q.id
left join serving s on s.queue = q.id
order by q.name
