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
        select j.id, r.queue, r.status
        from hivelog.ended_then(r.queue, r.status, %(position)s::bigint, %(now)s::timestamptz) j
        where j.id < least(%(before)s::uuid, %(high)s::uuid) and j.id >= %(low)s::uuid
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
    select t.job
    from hivelog.told_by_rounds(%(queues)s::smallint[], %(statuses)s::hivelog.job_status[], %(position)s::bigint) t
), newest as (
    select o.job from others o
    where o.job < least(%(before)s::uuid, %(high)s::uuid) and o.job >= %(low)s::uuid
        and (not %(loose)s::boolean or (
            -- No exists, for which all jobs might be put into a hash table.
            select (%(type)s::integer is null or j.type = %(type)s)
                and (%(source)s::text is null or j.source = %(source)s)
                and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
                and (%(until)s::timestamptz is null or j.created_at < %(until)s)
            from hivelog.jobs j where j.id = o.job))
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
