-- Of the jobs that were enqueued in [since, until): how many had ended well within so many seconds of it, or of the
-- time that they were scheduled for. A job that is not done yet counts against it once its time is over.
create or replace function hivelog_reports.sla(since timestamptz, until timestamptz, seconds double precision)
returns table (queue text, type text, jobs bigint, on_time bigint, late bigint, open bigint, percent double precision)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with asked as (
        select j.queue, j.type,
            case when j.status = 'completed' and j.ended_at <= greatest(j.created_at, e.due_at)
                    + make_interval(secs => seconds) then 'on time'
                when j.status < 'completed' and hivelog.now() <= greatest(j.created_at, e.due_at)
                    + make_interval(secs => seconds) then 'open'
                else 'late' end as verdict
        from hivelog.jobs j
        cross join lateral (
            select (x.data ->> 'scheduled_for')::timestamptz as due_at from hivelog.events x
            where x.position = j.enqueued
        ) e
        where j.created_at >= since and j.created_at < until and j.status <> 'cancelled'
    )
    select q.name, t.name, count(*), count(*) filter (where a.verdict = 'on time'),
        count(*) filter (where a.verdict = 'late'), count(*) filter (where a.verdict = 'open'),
        100.0 * count(*) filter (where a.verdict = 'on time') / nullif(count(*) filter (where a.verdict <> 'open'), 0)
    from asked a
    join hivelog.queues q on q.id = a.queue
    join hivelog.job_types t on t.id = a.type
    group by q.name, t.name
    order by q.name, t.name
$$;

comment on function hivelog_reports.sla(timestamptz,timestamptz,double precision) is 'Of the jobs enqueued in [since, until) by queue and type: how many completed within so many seconds of their enqueueing or scheduled time, how many did not, how many may still; percent of those decided. Cancelled jobs are not asked.';
