-- The projection failures as it was at a moment of the past: hours that were over as they are, the one that ran from
-- the rounds that went wrong in it. Where retention's edge lies in that hour, it counts from the edge on.
create or replace function hivelog.failures_at(at_position bigint, at_time timestamptz)
returns table (fingerprint text, type integer, hour timestamptz, count integer, first_seen timestamptz,
    last_seen timestamptz, queues smallint[], sample_job uuid, sample_position bigint, cause text, error_type text,
    template text)
language sql stable rows 1000 as $$
    with known as materialized (
        select f.*, coalesce(f.data ->> 'fingerprint', f.cause) as fingerprint
        from (
            select e.position, e.stream, e.recorded_at, e.queue, e.type, e.data, r.type as job_type,
                coalesce(e.data ->> 'cause', case e.type when 'lost' then 'lost' else 'error' end) as cause
            from hivelog.rounds r
            join hivelog.events e on e.position = r.ended
            where r.outcome in ('retry_scheduled', 'failed', 'expired', 'lost') and r.ended <= at_position
                and r.ended > (
                    select hivelog.position_at(date_trunc('hour', at_time, 'UTC') - interval '1 millisecond'))
        ) f
        where (f.type <> 'expired' or f.cause = 'timeout') and (f.cause <> 'retry' or f.data ? 'fingerprint')
    )
    select f.fingerprint, f.type, f.hour, f.count, f.first_seen, f.last_seen, f.queues, f.sample_job,
        f.sample_position, f.cause, f.error_type, f.template
    from hivelog.failures f where f.hour < date_trunc('hour', at_time, 'UTC')
    union all
    select g.fingerprint, g.job_type, date_trunc('hour', at_time, 'UTC'), g.count, g.first_seen, g.last_seen, g.queues,
        k.stream, k.position, k.cause, k.data ->> 'error_type', k.data ->> 'template'
    from (
        select k.fingerprint, k.job_type, count(*)::integer as count, min(k.recorded_at) as first_seen,
            max(k.recorded_at) as last_seen, array_agg(distinct k.queue order by k.queue) as queues,
            max(k.position) as sample
        from known k group by k.fingerprint, k.job_type
    ) g
    join known k on k.position = g.sample
$$;
