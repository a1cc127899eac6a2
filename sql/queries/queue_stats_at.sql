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
), late as materialized (
    -- The hour before the minute that runs; seconds only of those minutes that an edge cuts. Each queue's rows are
    -- looked up by the key, as in queue_stats.
    select q.id as queue, m.* from chosen q cross join edges e cross join lateral (
        select m.minute, m.completed, m.failed + m.expired as failed, m.run_ms, m.runs,
            case when date_part('epoch', m.minute) <= e.second - 3600 or date_part('epoch', m.minute) > e.second - 120
                then m.ended_seconds end as seconds
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= e.minute - interval '60 minutes' and m.minute < e.minute
        offset 0
    ) m
), day as materialized (
    select q.id as queue, d.* from chosen q cross join edges e cross join lateral (
        select m.minute as at, m.completed, m.failed + m.expired as failed, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= e.day_ago and m.minute < e.whole_hours
        offset 0
    ) d
    union all
    select l.queue, l.minute, l.completed, l.failed, l.run_ms, l.runs from late l, edges e where l.minute >= e.hour
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
), summed as materialized (
    -- The buckets of a minute's runs added up one by one: some two thousand arrays a day taken apart and grouped cost
    -- three times as much. Longer runs than these hold, from a minute on, are taken apart in `ranked`.
    select d.queue, array[
        sum(d.runs[1]), sum(d.runs[2]), sum(d.runs[3]), sum(d.runs[4]), sum(d.runs[5]), sum(d.runs[6]), sum(d.runs[7]),
        sum(d.runs[8]), sum(d.runs[9]), sum(d.runs[10]), sum(d.runs[11]), sum(d.runs[12]), sum(d.runs[13]),
        sum(d.runs[14]), sum(d.runs[15]), sum(d.runs[16]), sum(d.runs[17]), sum(d.runs[18]), sum(d.runs[19]),
        sum(d.runs[20]), sum(d.runs[21]), sum(d.runs[22]), sum(d.runs[23]), sum(d.runs[24]), sum(d.runs[25]),
        sum(d.runs[26]), sum(d.runs[27]), sum(d.runs[28]), sum(d.runs[29]), sum(d.runs[30]), sum(d.runs[31]),
        sum(d.runs[32]), sum(d.runs[33]), sum(d.runs[34]), sum(d.runs[35]), sum(d.runs[36]), sum(d.runs[37]),
        sum(d.runs[38]), sum(d.runs[39]), sum(d.runs[40]), sum(d.runs[41]), sum(d.runs[42]), sum(d.runs[43]),
        sum(d.runs[44]), sum(d.runs[45]), sum(d.runs[46]), sum(d.runs[47]), sum(d.runs[48]), sum(d.runs[49]),
        sum(d.runs[50]), sum(d.runs[51]), sum(d.runs[52]), sum(d.runs[53]), sum(d.runs[54]), sum(d.runs[55]),
        sum(d.runs[56]), sum(d.runs[57]), sum(d.runs[58]), sum(d.runs[59]), sum(d.runs[60]), sum(d.runs[61]),
        sum(d.runs[62]), sum(d.runs[63]), sum(d.runs[64]), sum(d.runs[65]), sum(d.runs[66]), sum(d.runs[67]),
        sum(d.runs[68]), sum(d.runs[69]), sum(d.runs[70]), sum(d.runs[71]), sum(d.runs[72]), sum(d.runs[73]),
        sum(d.runs[74]), sum(d.runs[75]), sum(d.runs[76]), sum(d.runs[77]), sum(d.runs[78]), sum(d.runs[79]),
        sum(d.runs[80]), sum(d.runs[81]), sum(d.runs[82]), sum(d.runs[83]), sum(d.runs[84]), sum(d.runs[85]),
        sum(d.runs[86]), sum(d.runs[87]), sum(d.runs[88]), sum(d.runs[89]), sum(d.runs[90]), sum(d.runs[91]),
        sum(d.runs[92]), sum(d.runs[93]), sum(d.runs[94]), sum(d.runs[95]), sum(d.runs[96]), sum(d.runs[97]),
        sum(d.runs[98]), sum(d.runs[99]), sum(d.runs[100]), sum(d.runs[101]), sum(d.runs[102]), sum(d.runs[103]),
        sum(d.runs[104]), sum(d.runs[105]), sum(d.runs[106]), sum(d.runs[107]), sum(d.runs[108]), sum(d.runs[109]),
        sum(d.runs[110]), sum(d.runs[111]), sum(d.runs[112]), sum(d.runs[113]), sum(d.runs[114]), sum(d.runs[115]),
        sum(d.runs[116]), sum(d.runs[117]), sum(d.runs[118]), sum(d.runs[119]), sum(d.runs[120]), sum(d.runs[121]),
        sum(d.runs[122]), sum(d.runs[123]), sum(d.runs[124]), sum(d.runs[125]), sum(d.runs[126]), sum(d.runs[127]),
        sum(d.runs[128])
    ] as runs
    from day d group by d.queue
), ranked as (
    select b.queue, b.bucket, sum(b.n) over (partition by b.queue order by b.bucket) as rank,
        sum(b.n) over (partition by b.queue) as total
    from (
        select x.queue, x.bucket, sum(x.n) as n from (
            select s.queue, u.n - 1 as bucket, u.count as n
            from summed s cross join lateral unnest(s.runs) with ordinality u (count, n)
            where u.count > 0
            union all
            select d.queue, u.n + 127, u.count
            from day d cross join lateral unnest(d.runs[129:]) with ordinality u (count, n)
            where cardinality(d.runs) > 128 and u.count > 0
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
    -- Whole minutes by their counts.
    select x.queue, sum(x.minute) as minute, sum(x.hour) as hour
    from (
        select l.queue, 0 as minute, l.completed + l.failed as hour
        from late l, edges e where date_part('epoch', l.minute) > e.second - 3600
        union all
        select l.queue, case when date_part('epoch', l.minute) + u.n - 1 > e.second - 60 then u.count end,
            case when date_part('epoch', l.minute) <= e.second - 3600
                and date_part('epoch', l.minute) + u.n - 1 > e.second - 3600 then u.count end
        from edges e, late l cross join lateral unnest(l.seconds) with ordinality u (count, n)
    ) x
    group by x.queue
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
