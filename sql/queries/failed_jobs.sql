-- How many jobs each group of failures has in each span of time: those whose last failed attempt is of the group and
-- that last started in the span, as the filters type, fingerprint, queue and started_since of the job list find them.
-- Parameters: groups, fingerprints, types, queues (names; one entry a group and queue), spans (beginnings), most.
-- Answer: (group, span from 1, count), each count at most `most` a queue.
select g.number, s.span::integer, sum(c.count)::integer
from unnest(%(groups)s::integer[], %(fingerprints)s::text[], %(types)s::text[], %(queues)s::smallint[])
    g (number, fingerprint, type, queue)
join hivelog.job_types t on t.name = g.type
cross join unnest(%(spans)s::timestamptz[]) with ordinality s (since, span)
cross join lateral (
    select count(*) as count from (
        select from hivelog.jobs j
        where coalesce(j.fingerprint, j.cause) = g.fingerprint and j.type = t.id and j.queue = g.queue
            and j.started_at >= s.since
        limit %(most)s
    ) f
) c
group by g.number, s.span
