-- job_samples at a moment of the past: the newest jobs of each queue and of each state that they had then.
-- Parameters: position and now (the moment's), high (ids of then are below it); queues, statuses, each, most as there.
-- The projections jobs and rounds must have folded the position. Answer: (id), the newest first.
with found as (
    select t.queue, t.status, t.job as id
    from hivelog.told_by_rounds(%(queues)s::smallint[], %(statuses)s::hivelog.job_status[], %(position)s::bigint) t
    union all
    select q.queue, s.status, e.id
    from unnest(%(queues)s::smallint[]) q (queue)
    cross join unnest(%(statuses)s::hivelog.job_status[]) s (status)
    cross join lateral (
        select j.id from hivelog.ended_then(q.queue, s.status, %(position)s::bigint, %(now)s::timestamptz) j
        where j.id < %(high)s::uuid
        order by j.id desc limit %(each)s
    ) e
), placed as (
    select f.id, row_number() over (partition by f.queue, f.status order by f.id desc) as place from found f
)
select p.id from placed p where p.place <= %(each)s
order by p.id desc
limit %(most)s
