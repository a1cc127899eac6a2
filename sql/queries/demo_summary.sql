-- What became of each queue's jobs since a position, from the log alone: the demo's closing table.
-- Parameters: after (position; only later events count).
-- Answer: a row a queue with events: queue, enqueued, completed, retried (also after a worker was lost),
-- failed (expired included), cancelled, and in seconds wait_p50, wait_p95 (able to run until started), run_p50, run_p95 (started until
-- completed); the last four are null where nothing was measured.
with steps as (
    select e.queue, e.recorded_at, e.type,
        -- `lost` is one event that says where the job went.
        case when e.type = 'lost' then e.data ->> 'to' end as lost_to,
        lag(e.type) over w as before,
        lag(e.recorded_at) over w as since,
        max(e.recorded_at) filter (where e.type = 'started') over w as started_at
    from hivelog.events e
    where e.position > %(after)s
        and e.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed',
            'cancelled', 'expired', 'lost', 'released', 'requeued')
    window w as (partition by e.stream order by e.version)
), timed as (
    select s.queue, s.type, s.lost_to,
        -- A scheduled job has waited only since it became due, which is what `queued` records.
        case when s.type = 'started' and s.before in ('enqueued', 'queued', 'released', 'requeued')
            then extract(epoch from s.recorded_at - s.since)::float8 end as wait,
        case when s.type = 'completed'
            then extract(epoch from s.recorded_at - s.started_at)::float8 end as run
    from steps s
)
select q.name as queue,
    count(*) filter (where t.type = 'enqueued') as enqueued,
    count(*) filter (where t.type = 'completed') as completed,
    count(*) filter (where t.type = 'retry_scheduled' or t.lost_to = 'pending') as retried,
    count(*) filter (where t.type in ('failed', 'expired') or t.lost_to = 'failed') as failed,
    count(*) filter (where t.type = 'cancelled' or t.lost_to = 'cancelled') as cancelled,
    percentile_cont(0.50) within group (order by t.wait) as wait_p50,
    percentile_cont(0.95) within group (order by t.wait) as wait_p95,
    percentile_cont(0.50) within group (order by t.run) as run_p50,
    percentile_cont(0.95) within group (order by t.run) as run_p95
from timed t
join hivelog.queues q on q.id = t.queue
group by q.name
order by q.name;
