-- Jobs that the log says are in one state and the live tables in another, set-based over the whole log:
-- acknowledged jobs that are neither live nor ended, live ones that have ended, and live ones nobody
-- enqueued. There are none; one snapshot, so running appends make none either.
-- Answers (what, jobs, sample): what is `missing`, `ended` or `unknown`; sample is one of them.
with last_event as (
    select distinct on (e.stream) e.stream as job,
        e.type in ('completed', 'failed', 'cancelled', 'expired')
            or (e.type = 'lost' and e.data ->> 'to' in ('failed', 'cancelled')) as ended
    from hivelog.events e
    where e.type in ('enqueued', 'queued', 'started', 'progressed', 'completed', 'retry_scheduled', 'failed',
        'cancel_requested', 'cancelled', 'expired', 'lost', 'released', 'requeued', 'routed', 'rescheduled')
    order by e.stream, e.version desc
), live as (
    select job from hivelog.pending
    union all select job from hivelog.ready
    union all select job from hivelog.leases
)
select case when e.job is null then 'unknown' when l.job is null then 'missing' else 'ended' end as what,
    count(*) as jobs, min(coalesce(e.job, l.job)::text) as sample
from last_event e full join live l on l.job = e.job
where e.job is null or e.ended is distinct from (l.job is null)
group by 1
