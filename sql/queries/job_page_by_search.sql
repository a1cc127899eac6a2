-- A page of the job list by what jobs carry: payload fields and words of errors.
-- Parameters and answer as job_page, and search (a tsquery's text), common (whether `most` jobs are known to
-- match) and most. `scan` is how many of the newest jobs are looked through; when that is not enough for the page,
-- all that match are taken from the index, unless they are more than `most`: then the frontier says how far it came.
with walk as materialized (
    select n.job, n.terms @@ %(search)s::tsquery as fits from (
        select s.job, s.terms from hivelog.search s
        where s.job < least(%(before)s::uuid, %(high)s::uuid) and s.job >= %(low)s::uuid
        order by s.job desc limit %(scan)s
    ) n
), edge as materialized (
    -- Where the walk was cut off; null when it has seen all.
    select (select w.job from walk w order by w.job desc offset %(scan)s - 1 limit 1) as id
), walked as materialized (
    select j.* from walk w join hivelog.jobs j on j.id = w.job
    where w.fits
        and j.queue = any (%(queues)s::smallint[]) and j.status = any (%(statuses)s::hivelog.job_status[])
        and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
        and (%(until)s::timestamptz is null or j.created_at < %(until)s)
        and (%(type)s::integer is null or j.type = %(type)s)
        and (%(source)s::text is null or j.source = %(source)s)
        and (%(correlation)s::text is null or j.correlation = %(correlation)s)
        and (%(tag)s::text is null or j.tags @> array[%(tag)s::text])
        and (%(fingerprint)s::text is null or coalesce(j.fingerprint, j.cause) = %(fingerprint)s)
        and (%(started)s::timestamptz is null or j.started_at >= %(started)s)
        and (%(worker)s::text is null or j.session in (
            select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
    order by j.id desc limit %(limit)s
), matches as materialized (
    select m.job from hivelog.search_matches(%(search)s::tsquery, %(most)s + 1) m (job)
    where not %(common)s and exists (select from edge e where e.id is not null)
        and (select count(*) from walked) < %(limit)s
), few as materialized (
    select not %(common)s and (select count(*) from matches) between 1 and %(most)s as known
), found as (
    select w.* from walked w, few f where not f.known
    union all
    (select j.* from few f, matches m join hivelog.jobs j on j.id = m.job
    where f.known and m.job < least(%(before)s::uuid, %(high)s::uuid) and m.job >= %(low)s::uuid
        and j.queue = any (%(queues)s::smallint[]) and j.status = any (%(statuses)s::hivelog.job_status[])
        and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
        and (%(until)s::timestamptz is null or j.created_at < %(until)s)
        and (%(type)s::integer is null or j.type = %(type)s)
        and (%(source)s::text is null or j.source = %(source)s)
        and (%(correlation)s::text is null or j.correlation = %(correlation)s)
        and (%(tag)s::text is null or j.tags @> array[%(tag)s::text])
        and (%(fingerprint)s::text is null or coalesce(j.fingerprint, j.cause) = %(fingerprint)s)
        and (%(started)s::timestamptz is null or j.started_at >= %(started)s)
        and (%(worker)s::text is null or j.session in (
            select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
    order by j.id desc limit %(limit)s)
)
select case when not f.known and (%(common)s or (select count(*) from matches) > 0) then e.id end as frontier,
    j.id, j.queue, j.type, j.status::text, j.priority, j.attempt, j.retry, j.version,
    j.position, j.enqueued, j.created_at, j.due_at, j.ready_at, j.started_at, j.ended_at, j.expires_at, j.session,
    j.token, j.error_token, j.progress, j.cancelling, j.erased, j.size, j.correlation, j.cause, j.error_type,
    j.fingerprint, j.template, e2.data as spec,
    (select p.position from hivelog.projected('jobs') p) as projected
from few f
cross join edge e
left join found j on true
left join hivelog.events e2 on e2.position = j.enqueued
order by j.id desc
