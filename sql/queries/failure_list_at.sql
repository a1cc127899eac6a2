-- failure_list at a moment of the past. Parameters: position, now (the moment's); since, queue, limit as there.
-- The projections failures and rounds must have folded the position. Answer: as failure_list.
with rows as materialized (
    select f.*, %(queue)s::smallint is null or %(queue)s = any (f.queues) as counts
    from hivelog.failures_at(%(position)s::bigint, %(now)s::timestamptz) f
    where f.hour >= coalesce(date_trunc('hour', %(since)s::timestamptz, 'UTC'), '-infinity')
), page as materialized (
    select r.fingerprint, r.type, sum(r.count)::bigint as count, min(r.first_seen) as first_seen,
        max(r.last_seen) as last_seen, max(r.hour) as hour
    from rows r where r.counts
    group by r.fingerprint, r.type
    order by max(r.last_seen) desc, r.fingerprint, r.type
    limit %(limit)s
)
select p.fingerprint, t.name as type, p.count, p.first_seen, p.last_seen,
    array(
        select q.name from hivelog.queues q where q.id in (
            select x.queue from rows y cross join lateral unnest(y.queues) x (queue)
            where y.fingerprint = p.fingerprint and y.type = p.type)
        order by q.name
    ) as queues,
    s.sample_job, s.cause, s.error_type, s.template,
    (select o.started from hivelog.rounds o where o.job = s.sample_job and o.ended = s.sample_position) as token
from page p
join rows s on s.fingerprint = p.fingerprint and s.type = p.type and s.hour = p.hour
join hivelog.job_types t on t.id = p.type
order by p.last_seen desc, p.fingerprint, t.name
