-- Jobs of a list by the state that they had at a moment of the past, at a bounded cost. Parameters: position and now (the
-- moment's), queues, statuses, low, high, loose, type, source, since, until as in job_page_at; most (counted of a state);
-- named (whether their ids are wanted, because only their stories tell the rest).
-- The projections jobs and rounds must have folded the position. Answer: (status, count, ids or null).
select c.status::text, cardinality(c.ids), case when %(named)s then c.ids end
from (
    select s.status, array(
        (
            -- Queue by queue, until there are enough.
            select e.id from unnest(%(queues)s::smallint[]) q (queue)
            cross join lateral (
                select j.id from hivelog.ended_then(q.queue, s.status, %(position)s::bigint, %(now)s::timestamptz) j
                where j.id >= %(low)s::uuid and j.id < %(high)s::uuid
                    and (%(type)s::integer is null or j.type = %(type)s)
                    and (%(source)s::text is null or j.source = %(source)s)
                    and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
                    and (%(until)s::timestamptz is null or j.created_at < %(until)s)
                order by j.id desc limit %(most)s
            ) e
        )
        union all
        select t.job from hivelog.told_by_rounds(%(queues)s::smallint[], array[s.status], %(position)s::bigint) t
        where t.job >= %(low)s::uuid and t.job < %(high)s::uuid
            and (not %(loose)s::boolean or (
                -- No exists, for which all jobs might be put into a hash table.
                select (%(type)s::integer is null or j.type = %(type)s)
                    and (%(source)s::text is null or j.source = %(source)s)
                    and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
                    and (%(until)s::timestamptz is null or j.created_at < %(until)s)
                from hivelog.jobs j where j.id = t.job))
        limit %(most)s
    ) as ids
    from unnest(%(statuses)s::hivelog.job_status[]) s (status)
    offset 0
) c
