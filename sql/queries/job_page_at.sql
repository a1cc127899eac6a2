-- Ids of jobs in some statuses at a moment of the past, newest first.
-- Parameters: position and now (the moment's), queues, statuses, before, low, high, type, source, since, until, scan,
-- limit as in job_page. The projections jobs and rounds must have folded the position.
-- Answer: one row at least, (frontier, id): frontier is the id down to which ended jobs were read, null when all.
--
-- A job that ended by then and did nothing since is found by the status that it has now; one that was run
-- again since by its revived end; what was live by the rounds that held the position.
with ranges as (
    select q.queue, s.status
    from unnest(%(queues)s::smallint[]) q (queue), unnest(%(statuses)s::hivelog.job_status[]) s (status)
    where s.status >= 'completed'
), ended as materialized (
    select c.* from ranges r
    cross join lateral (
        select j.id, j.queue, j.status from hivelog.jobs j
        where j.queue = r.queue and j.status = r.status
            and j.id < least(%(before)s::uuid, %(high)s::uuid) and j.id >= %(low)s::uuid
            -- Within coalesce, so that the planner cannot take these three for independent, expect next to nothing,
            -- and read and sort the whole range instead of its end.
            and coalesce(j.enqueued <= %(position)s::bigint and j.ended_at <= %(now)s::timestamptz
                and (j.position <= %(position)s::bigint or j.ended_at < %(now)s::timestamptz or exists (
                    select from hivelog.rounds o where o.job = j.id and o.ended <= %(position)s::bigint
                        and o.status = j.status and o.revived is null)), false)
            and (%(type)s::integer is null or j.type = %(type)s)
            and (%(source)s::text is null or j.source = %(source)s)
            and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
            and (%(until)s::timestamptz is null or j.created_at < %(until)s)
        order by j.id desc limit %(scan)s
    ) c
), frontier as (
    select max(x.lowest)::uuid as id from (
        select min(c.id::text collate "C") as lowest from ended c
        group by c.queue, c.status having count(*) = %(scan)s
    ) x
), others as materialized (
    select r.job from hivelog.rounds r
    where r.queue = any (%(queues)s::smallint[]) and r.ended <= %(position)s::bigint
        and r.revived > %(position)s::bigint and r.status = any (%(statuses)s::hivelog.job_status[])
    union all
    select w.job from hivelog.waiting_at(%(queues)s::smallint[], %(position)s::bigint) w
    where (case when w.able then 'queued' else 'pending' end)::hivelog.job_status
        = any (%(statuses)s::hivelog.job_status[])
    union all
    select l.job from hivelog.running_at(%(queues)s::smallint[], %(position)s::bigint) l
    where 'processing' = any (%(statuses)s::hivelog.job_status[])
), newest as (
    select o.job from others o
    where o.job < least(%(before)s::uuid, %(high)s::uuid) and o.job >= %(low)s::uuid
        and (not %(loose)s::boolean or exists (
            select from hivelog.jobs j where j.id = o.job
                and (%(type)s::integer is null or j.type = %(type)s)
                and (%(source)s::text is null or j.source = %(source)s)
                and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
                and (%(until)s::timestamptz is null or j.created_at < %(until)s)))
    order by o.job desc limit %(limit)s
)
select f.id as frontier, x.id
from frontier f
left join lateral (
    select u.id from (select e.id from ended e union all select n.job from newest n) u
    where f.id is null or u.id >= f.id
    order by u.id desc limit %(limit)s
) x on true
order by x.id desc
