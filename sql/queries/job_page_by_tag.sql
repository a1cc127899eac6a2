-- A page of the job list for a tag, which has an index of its own.
-- Parameters and answer as job_page; `scan` is not used, and frontier is always null.
with candidates as materialized (
    select j.* from hivelog.jobs j
    where j.tags @> array[%(tag)s::text]
        and j.queue = any (%(queues)s::smallint[]) and j.status = any (%(statuses)s::hivelog.job_status[])
        and j.id < least(%(before)s::uuid, %(high)s::uuid) and j.id >= %(low)s::uuid
    order by j.id desc limit 100000
), frontier as (
    select null::uuid as id
)
select f.id as frontier, j.id, j.queue, j.type, j.status::text, j.priority, j.attempt, j.retry, j.version, j.position,
    j.enqueued, j.created_at, j.due_at, j.ready_at, j.started_at, j.ended_at, j.expires_at, j.session, j.token,
    j.error_token, j.progress, j.cancelling, j.erased, j.size, j.correlation, j.cause, j.error_type,
    j.fingerprint, j.template, e.data as spec,
    (select p.position from hivelog.projected('jobs') p) as projected
from frontier f
left join lateral (
    select c.* from candidates c
    where (f.id is null or c.id >= f.id)
        and (%(since)s::timestamptz is null or c.created_at >= %(since)s)
        and (%(until)s::timestamptz is null or c.created_at < %(until)s)
        and (%(type)s::integer is null or c.type = %(type)s)
        and (%(source)s::text is null or c.source = %(source)s)
        and (%(correlation)s::text is null or c.correlation = %(correlation)s)
        and (%(tag)s::text is null or c.tags @> array[%(tag)s::text])
        and (%(fingerprint)s::text is null or coalesce(c.fingerprint, c.cause) = %(fingerprint)s)
        and (%(started)s::timestamptz is null or c.started_at >= %(started)s)
        and (%(worker)s::text is null or c.session in (
            select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
    order by c.id desc limit %(limit)s
) j on true
left join hivelog.events e on e.position = j.enqueued
order by j.id desc
