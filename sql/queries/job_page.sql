-- A page of the job list, newest first (by id, which is by age).
-- Parameters: queues, statuses (the ranges to read), before (ids below it), since and until (created_at;
-- null: open), low and high (ids outside of them cannot be meant), type, source, correlation, tag, worker (a
-- session's id or name), fingerprint (of its last failure), started (its last start at or after; each null: any), scan (rows to read of each range), limit.
-- Answer: one row at least, (frontier, then a job's columns or nulls): frontier is the id down to which the
-- ranges were read, null when they were read to their end. The last columns are the first event's data and
-- the position that all of it reflects.
with ranges as (
    select q.queue, s.status
    from unnest(%(queues)s::smallint[]) q (queue), unnest(%(statuses)s::hivelog.job_status[]) s (status)
), candidates as materialized (
    select c.* from ranges r
    cross join lateral (
        select j.*, row_number() over (order by j.id desc) as n from hivelog.jobs j
        where j.queue = r.queue and j.status = r.status
            and j.id < least(%(before)s::uuid, %(high)s::uuid) and j.id >= %(low)s::uuid
        order by j.id desc limit %(scan)s
    ) c
), frontier as (
    -- A range that was cut off says nothing of what is below its last row.
    select (select c.id from candidates c where c.n = %(scan)s order by c.id desc limit 1) as id
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
