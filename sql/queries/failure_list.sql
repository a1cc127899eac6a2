-- Failures by fingerprint and job type, the most recent first.
-- Parameters: since (from the hour it is in; null: all), queue (null: any), limit.
-- Answer: (fingerprint, type, count, first_seen, last_seen, queues, sample_job, cause, error_type, template).
select g.fingerprint, t.name as type, g.count, g.first_seen, g.last_seen,
    array(select q.name from hivelog.queues q where q.id = any (g.queues) order by q.name) as queues,
    g.sample_job, g.cause, g.error_type, g.template
from (
    select f.fingerprint, f.type, sum(f.count)::bigint as count, min(f.first_seen) as first_seen,
        max(f.last_seen) as last_seen,
        (array_agg(f.sample_job order by f.hour desc))[1] as sample_job,
        (array_agg(f.cause order by f.hour desc))[1] as cause,
        (array_agg(f.error_type order by f.hour desc))[1] as error_type,
        (array_agg(f.template order by f.hour desc))[1] as template,
        array(
            select distinct x.queue from hivelog.failures y cross join lateral unnest(y.queues) x (queue)
            where y.fingerprint = f.fingerprint and y.type = f.type
                and (%(since)s::timestamptz is null or y.hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC'))
        ) as queues
    from hivelog.failures f
    where (%(since)s::timestamptz is null or f.hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC'))
        and (%(queue)s::smallint is null or %(queue)s = any (f.queues))
    group by f.fingerprint, f.type
) g
join hivelog.job_types t on t.id = g.type
order by g.last_seen desc, g.fingerprint, t.name
limit %(limit)s
