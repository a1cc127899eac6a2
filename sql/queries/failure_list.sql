-- Failures by fingerprint and job type, the most recent first.
-- Parameters: since (from the hour it is in; null: all), queue (null: any), limit.
-- Answer: (fingerprint, type, count, first_seen, last_seen, queues, sample_job, cause, error_type, template, token of
-- the attempt that is the sample: it names the error text).
-- A group's last failure is in its newest hour. So where the newest hour has enough groups, or the day that ends
-- with it, the page is among these, and only their older hours are read.
with asked as materialized (
    select coalesce(date_trunc('hour', %(since)s::timestamptz, 'UTC'), '-infinity') as since
), newest as materialized (
    select (
        select f.hour from hivelog.failures f
        where f.hour >= a.since and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
        order by f.hour desc limit 1
    ) as hour
    from asked a
), enough as materialized (
    select case
        when (
            select count(*) from (
                select distinct f.fingerprint, f.type from hivelog.failures f
                where f.hour = x.hour and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
            ) d
        ) >= %(limit)s then x.hour
        when (
            select count(*) from (
                select distinct f.fingerprint, f.type from hivelog.failures f
                where f.hour >= greatest(a.since, x.hour - interval '1 day')
                    and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
            ) d
        ) >= %(limit)s then greatest(a.since, x.hour - interval '1 day')
        else a.since end as since
    from asked a, newest x
), page as materialized (
    select f.fingerprint, f.type, max(f.last_seen) as last_seen from enough e, hivelog.failures f
    where f.hour >= e.since and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
    group by f.fingerprint, f.type
    order by max(f.last_seen) desc, f.fingerprint, f.type
    limit %(limit)s
)
select p.fingerprint, t.name as type, g.count, g.first_seen, p.last_seen,
    array(
        select q.name from hivelog.queues q where q.id in (
            select x.queue from asked a, hivelog.failures y cross join lateral unnest(y.queues) x (queue)
            where y.fingerprint = p.fingerprint and y.type = p.type and y.hour >= a.since)
        order by q.name
    ) as queues,
    s.sample_job, s.cause, s.error_type, s.template,
    (select o.started from hivelog.rounds o where o.job = s.sample_job and o.ended = s.sample_position) as token
from page p
cross join lateral (
    select sum(f.count)::bigint as count, min(f.first_seen) as first_seen from asked a, hivelog.failures f
    where f.fingerprint = p.fingerprint and f.type = p.type and f.hour >= a.since
        and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
) g
cross join lateral (
    select f.sample_job, f.sample_position, f.cause, f.error_type, f.template from hivelog.failures f
    where f.fingerprint = p.fingerprint and f.type = p.type
        and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
    order by f.hour desc limit 1
) s
join hivelog.job_types t on t.id = p.type
order by p.last_seen desc, p.fingerprint, t.name
