-- What happened in queues over time, by buckets of one length; buckets without events are not answered.
-- Parameters: queues (numbers; 0: all together), start, upto (buckets from start until before upto), step (an interval of whole
-- minutes; buckets begin at multiples of it since 1970), hourly (whether hours are fine enough to be read),
-- grouped (a series a queue), spread (with percentiles, which cost most); position and moment (a moment of the past;
-- null: now). What had happened then in the hour and the minute that ran is read by the minute and from the log.
-- Answer: a row at least: position (the log's head), now, projected (up to where the counts have folded it),
-- generation of the projection, folded (when the last event in it was recorded: buckets that end before are
-- final; null: unknown), queue (null: all of them), bucket (null: none), counts, and percentiles in seconds by
-- nearest rank over hivelog.bucket's buckets.
with clock as materialized (
    select coalesce(%(position)s::bigint, b.position) as position,
        coalesce(%(moment)s::timestamptz, greatest(hivelog.now(), b.recorded_at)) as now,
        coalesce(%(position)s::bigint, p.position) as projected, p.generation,
        (select e.recorded_at from hivelog.events e where e.position = p.position) as folded
    from (select * from hivelog.batches order by position desc limit 1) b
    cross join hivelog.projected('jobs') p
), read as (
    select m.queue, m.minute as time, m.enqueued, m.started, m.completed, m.failed, m.expired, m.cancelled,
        m.lost, m.retried, case when %(spread)s then m.waits end as waits, case when %(spread)s then m.runs end as runs
    from unnest(%(queues)s::smallint[]) q (id)
    join hivelog.queue_minutes m on m.queue = q.id
        and m.minute < least(%(upto)s, date_trunc('minute', %(moment)s::timestamptz, 'UTC'))
        and m.minute >= case when %(hourly)s
            then greatest(%(start)s, date_trunc('hour', %(moment)s::timestamptz, 'UTC')) else %(start)s end
    where not %(hourly)s or %(position)s::bigint is not null
    union all
    select h.queue, h.hour, h.enqueued, h.started, h.completed, h.failed, h.expired, h.cancelled,
        h.lost, h.retried, case when %(spread)s then h.waits end, case when %(spread)s then h.runs end
    from unnest(%(queues)s::smallint[]) q (id)
    join hivelog.queue_hours h on h.queue = q.id and h.hour >= %(start)s
        and h.hour < least(%(upto)s, date_trunc('hour', %(moment)s::timestamptz, 'UTC'))
    where %(hourly)s
    union all
    select m.queue, date_trunc('minute', %(moment)s::timestamptz, 'UTC'), m.enqueued, m.started, m.completed, m.failed,
        m.expired, m.cancelled, m.lost, m.retried, case when %(spread)s then m.waits end, case when %(spread)s then m.runs end
    from hivelog.minute_at(%(queues)s::smallint[], %(position)s::bigint, %(moment)s::timestamptz) m
    where %(position)s::bigint is not null
        and date_trunc('minute', %(moment)s::timestamptz, 'UTC') between %(start)s and %(upto)s::timestamptz - interval '1 minute'
), cells as materialized (
    select case when %(grouped)s then r.queue end as queue,
        date_bin(%(step)s::interval, r.time, to_timestamp(0)) as bucket, r.enqueued, r.started, r.completed,
        r.failed, r.expired, r.cancelled, r.lost, r.retried, r.waits, r.runs
    from read r
), counts as (
    select c.queue, c.bucket, sum(c.enqueued)::bigint as enqueued, sum(c.started)::bigint as started,
        sum(c.completed)::bigint as completed, sum(c.failed)::bigint as failed,
        sum(c.expired)::bigint as expired, sum(c.cancelled)::bigint as cancelled,
        sum(c.lost)::bigint as lost, sum(c.retried)::bigint as retried
    from cells c
    group by c.queue, c.bucket
), ranked as (
    select s.*, sum(s.n) over (partition by s.queue, s.bucket, s.waits order by s.slot) as rank,
        sum(s.n) over (partition by s.queue, s.bucket, s.waits) as total
    from (
        select c.queue, c.bucket, u.waits, u.slot, sum(u.count)::bigint as n
        from cells c
        cross join lateral (
            select true, w.n::integer - 1, w.count from unnest(c.waits) with ordinality w (count, n) where w.count > 0
            union all
            select false, r.n::integer - 1, r.count from unnest(c.runs) with ordinality r (count, n) where r.count > 0
        ) u (waits, slot, count)
        where %(spread)s
        group by 1, 2, 3, 4
    ) s
), percentiles as (
    select r.queue, r.bucket,
        hivelog.bucket_ms(min(r.slot) filter (where r.waits and r.rank >= ceil(r.total * 0.50))) / 1000 as wait_p50,
        hivelog.bucket_ms(min(r.slot) filter (where r.waits and r.rank >= ceil(r.total * 0.95))) / 1000 as wait_p95,
        hivelog.bucket_ms(min(r.slot) filter (where r.waits and r.rank >= ceil(r.total * 0.99))) / 1000 as wait_p99,
        hivelog.bucket_ms(min(r.slot) filter (where not r.waits and r.rank >= ceil(r.total * 0.50))) / 1000 as run_p50,
        hivelog.bucket_ms(min(r.slot) filter (where not r.waits and r.rank >= ceil(r.total * 0.95))) / 1000 as run_p95,
        hivelog.bucket_ms(min(r.slot) filter (where not r.waits and r.rank >= ceil(r.total * 0.99))) / 1000 as run_p99
    from ranked r group by r.queue, r.bucket
)
select k.position, k.now, k.projected, k.generation, k.folded, c.queue, c.bucket,
    c.enqueued, c.started, c.completed, c.failed, c.expired, c.cancelled, c.lost, c.retried,
    p.wait_p50, p.wait_p95, p.wait_p99, p.run_p50, p.run_p95, p.run_p99
from clock k
left join counts c on true
left join percentiles p on p.bucket = c.bucket and p.queue is not distinct from c.queue
order by c.bucket, c.queue
