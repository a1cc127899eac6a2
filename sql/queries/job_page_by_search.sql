-- A page of the job list by what jobs carry: payload fields and words of errors.
-- Parameters and answer as job_page, and search (a tsquery's text); `scan` is not used, and frontier is always
-- null. A rare term is found by its index; for a common one the newest jobs are looked through.
with found as materialized (
    select j.* from hivelog.search s join hivelog.jobs j on j.id = s.job
    where s.terms @@ %(search)s::tsquery
        and s.job < least(%(before)s::uuid, %(high)s::uuid) and s.job >= %(low)s::uuid
        and j.queue = any (%(queues)s::smallint[]) and j.status = any (%(statuses)s::hivelog.job_status[])
        and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
        and (%(until)s::timestamptz is null or j.created_at < %(until)s)
        and (%(type)s::integer is null or j.type = %(type)s)
        and (%(source)s::text is null or j.source = %(source)s)
        and (%(correlation)s::text is null or j.correlation = %(correlation)s)
        and (%(tag)s::text is null or j.tags @> array[%(tag)s::text])
        and (%(worker)s::text is null or j.session in (
            select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
    order by s.job desc limit %(limit)s
)
select null::uuid as frontier, j.id, j.queue, j.type, j.status::text, j.priority, j.attempt, j.retry, j.version,
    j.position, j.enqueued, j.created_at, j.due_at, j.ready_at, j.started_at, j.ended_at, j.expires_at, j.session,
    j.token, j.error_token, j.progress, j.cancelling, j.erased, j.size, j.correlation, j.cause, j.error_type,
    j.fingerprint, j.template, e.data as spec,
    (select p.position from hivelog.projections p where p.name = 'jobs' and p.live) as projected
from (select) one
left join found j on true
left join hivelog.events e on e.position = j.enqueued
order by j.id desc
