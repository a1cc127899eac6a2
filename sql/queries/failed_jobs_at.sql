-- failed_jobs at a moment of the past. Parameters: position, now (the moment's); the others as there.
-- The projections jobs and rounds must have folded the position. Answer: as failed_jobs.
--
-- As in job_page_at: a job that ended by then and did nothing since is counted as it is now. What was live then, or was
-- run again since, is read from its rounds (`changed`): its cause is the last one's that went wrong or was cancelled,
-- its fingerprint the last one's that failed, and a requeue forgets both.
with changed as materialized (
    select r.job, r.queue, r.type from hivelog.rounds r
    where r.queue = any (%(queues)s::smallint[]) and r.ended <= %(position)s::bigint
        and r.revived > %(position)s::bigint
    union all
    select w.job, w.queue, w.type
    from hivelog.waiting_at(array(select distinct unnest(%(queues)s::smallint[])), %(position)s::bigint) w
    union all
    select l.job, l.queue, l.type
    from hivelog.running_at(array(select distinct unnest(%(queues)s::smallint[])), %(position)s::bigint) l
), known as materialized (
    select c.queue, c.type, w.started_at, coalesce(e.data ->> 'fingerprint', f.cause) as fingerprint
    from changed c
    cross join lateral (
        select max(r.started_at) filter (where r.started <= %(position)s::bigint) as started_at,
            coalesce(max(r.revived) filter (where r.revived <= %(position)s::bigint), 0) as forgotten
        from hivelog.rounds r where r.job = c.job and r.began <= %(position)s::bigint
    ) w
    cross join lateral (
        select (array_agg(r.cause order by r.ended desc))[1] as cause,
            max(r.ended) filter (where r.outcome in ('retry_scheduled', 'failed')) as failed
        from hivelog.rounds r
        where r.job = c.job and r.began >= w.forgotten and r.ended <= %(position)s::bigint
            and r.outcome in ('retry_scheduled', 'failed', 'expired', 'lost', 'cancelled')
    ) f
    left join hivelog.events e on e.position = f.failed
    where w.started_at >= (select min(s.since) from unnest(%(spans)s::timestamptz[]) s (since))
)
select g.number, s.span::integer, sum(c.count + k.count)::integer
from unnest(%(groups)s::integer[], %(fingerprints)s::text[], %(types)s::text[], %(queues)s::smallint[])
    g (number, fingerprint, type, queue)
join hivelog.job_types t on t.name = g.type
cross join unnest(%(spans)s::timestamptz[]) with ordinality s (since, span)
cross join lateral (
    select count(*) as count from (
        select from hivelog.jobs j
        where coalesce(j.fingerprint, j.cause) = g.fingerprint and j.type = t.id and j.queue = g.queue
            and j.started_at >= s.since and j.started_at <= %(now)s::timestamptz
            -- Within coalesce, so that the planner does not expect next to nothing of them.
            and coalesce(j.ended_at <= %(now)s::timestamptz
                and (j.position <= %(position)s::bigint or j.ended_at < %(now)s::timestamptz or exists (
                    select from hivelog.rounds o where o.job = j.id and o.ended <= %(position)s::bigint
                        and o.status = j.status and o.revived is null)), false)
        limit %(most)s
    ) f
) c
cross join lateral (
    select count(*) as count from known k
    where k.fingerprint = g.fingerprint and k.type = t.id and k.queue = g.queue and k.started_at >= s.since
) k
group by g.number, s.span
