-- How many jobs of each state a list has, at a bounded cost. Parameters as job_page (queues, statuses, low, high, since,
-- until, type, source, correlation, tag, worker, fingerprint, started, search), `way` (range, tag, correlation,
-- fingerprint or search: the index by which jobs are found), scan (jobs looked at: of each state, or of all where an
-- index finds them).
-- Answer: (status, count, whole): whole is false when there may be more.
with ids as materialized (
    (select t.id from hivelog.jobs t where %(way)s = 'tag' and t.tags @> array[%(tag)s::text] limit %(scan)s)
    union all
    (select t.id from hivelog.jobs t where %(way)s = 'correlation' and t.correlation = %(correlation)s
        limit %(scan)s)
    union all
    (select t.id from hivelog.jobs t
        where %(way)s = 'fingerprint' and coalesce(t.fingerprint, t.cause) = %(fingerprint)s
            and t.type = %(type)s::integer and t.started_at >= %(started)s::timestamptz
        limit %(scan)s)
    union all
    (select s.job from hivelog.search s where %(way)s = 'search' and s.terms @@ %(search)s::tsquery limit %(scan)s)
), found as materialized (
    select c.status, c.looked, c.created_at, c.type, c.source, c.correlation, c.tags, c.fingerprint, c.cause,
        c.started_at, c.session
    from unnest(%(statuses)s::hivelog.job_status[]) s (status)
    cross join lateral (
        -- Each queue's by the key (`order by`): to find that none of fifty queues has one, the table would be scanned.
        select r.*, s.status as looked from unnest(%(queues)s::smallint[]) q (queue)
        cross join lateral (
            select j.* from hivelog.jobs j
            where j.queue = q.queue and j.status = s.status and j.id >= %(low)s::uuid and j.id < %(high)s::uuid
            order by j.id desc limit %(scan)s
        ) r
        limit %(scan)s
    ) c
    where %(way)s = 'range'
    union all
    select j.status, null, j.created_at, j.type, j.source, j.correlation, j.tags, j.fingerprint, j.cause, j.started_at,
        j.session
    from ids i
    join hivelog.jobs j on j.id = i.id
    where j.queue = any (%(queues)s::smallint[])
), whole as (
    select f.looked, count(*) < %(scan)s as whole from found f where %(way)s = 'range' group by f.looked
    union all
    select null, count(*) < %(scan)s from ids
)
select s.status::text, count(f.status)::integer, coalesce(bool_and(w.whole), true)
from unnest(%(statuses)s::hivelog.job_status[]) s (status)
left join whole w on w.looked is not distinct from case when %(way)s = 'range' then s.status end
left join found f on f.status = s.status
    and (%(since)s::timestamptz is null or f.created_at >= %(since)s)
    and (%(until)s::timestamptz is null or f.created_at < %(until)s)
    and (%(type)s::integer is null or f.type = %(type)s)
    and (%(source)s::text is null or f.source = %(source)s)
    and (%(correlation)s::text is null or f.correlation = %(correlation)s)
    and (%(tag)s::text is null or f.tags @> array[%(tag)s::text])
    and (%(fingerprint)s::text is null or coalesce(f.fingerprint, f.cause) = %(fingerprint)s)
    and (%(started)s::timestamptz is null or f.started_at >= %(started)s)
    and (%(worker)s::text is null or f.session in (
        select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
group by s.status
