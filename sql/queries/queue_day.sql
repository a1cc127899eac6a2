-- What ended in each queue in the last 24 hours, as queue_stats counts them, without what may still change: up to
-- the hour of the last event that the projection has folded.
-- Answer: a row at least: generation and position of the projection, now, since (the first minute counted), upto
-- (null where that is unknown), queue (number; null: none), completed, failed (and expired), run_ms, slots and
-- counts (of run times, hivelog.bucket).
with edges as materialized (
    select p.generation, p.position, x.now, date_trunc('minute', x.now, 'UTC') - interval '1439 minutes' as since,
        date_trunc('hour', x.now - interval '1380 minutes', 'UTC') as whole_hours,
        (select date_trunc('hour', e.recorded_at, 'UTC') from hivelog.events e
            where e.position = p.position) as upto
    from (
        select greatest(hivelog.now(), b.recorded_at) as now from hivelog.batches b order by b.position desc limit 1
    ) x, hivelog.projected('jobs') p
), day as materialized (
    select q.id as queue, d.* from edges e cross join hivelog.queues q cross join lateral (
        select m.completed, m.failed + m.expired as failed, m.run_ms, m.runs
        from hivelog.queue_minutes m
        where m.queue = q.id and m.minute >= e.since and m.minute < least(e.whole_hours, e.upto)
        offset 0
    ) d
    union all
    select q.id, d.* from edges e cross join hivelog.queues q cross join lateral (
        select h.completed, h.failed + h.expired, h.run_ms, h.runs
        from hivelog.queue_hours h
        where h.queue = q.id and h.hour >= e.whole_hours and h.hour < e.upto
        offset 0
    ) d
), ended as (
    select d.queue, sum(d.completed)::bigint as completed, sum(d.failed)::bigint as failed,
        sum(d.run_ms)::bigint as run_ms
    from day d group by d.queue
), slots as (
    select s.queue, array_agg(s.slot) as slots, array_agg(s.n) as counts from (
        select d.queue, (u.n - 1)::integer as slot, sum(u.count)::bigint as n
        from day d cross join lateral unnest(d.runs) with ordinality u (count, n)
        where u.count > 0
        group by 1, 2
    ) s
    group by s.queue
)
select e.generation, e.position, e.now, e.since, e.upto, d.queue, d.completed, d.failed, d.run_ms,
    coalesce(s.slots, '{}'), coalesce(s.counts, '{}')
from edges e left join ended d on true left join slots s on s.queue = d.queue
