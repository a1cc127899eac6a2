-- Every job that existed at a time, in the state that it was in. Reads all rounds; live_jobs_at is quick.
create or replace function hivelog_reports.jobs_at(at timestamptz)
returns table (job_id uuid, queue text, type text, status text, priority integer, attempt integer, worker text,
    waiting_since timestamptz, started_at timestamptz, ended_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select r.job, q.name, t.name,
        case when r.ended <= p.position then r.status::text when r.started <= p.position then 'processing'
            when r.ready <= p.position then 'queued' else 'pending' end,
        r.priority::integer, case when r.started <= p.position then r.attempt::integer end,
        case when r.started <= p.position then hivelog.worker_name(a.name) end, r.began_at,
        case when r.started <= p.position then r.started_at end, case when r.ended <= p.position then r.ended_at end
    from (select hivelog.position_at(at) as position) p
    cross join lateral (
        -- Of a job's rounds the one that held the position, or the last one's end where nobody ran it again.
        select x.* from hivelog.rounds x
        where x.began <= p.position and (x.ended is null or x.ended > p.position
            or x.status is not null and (x.revived is null or x.revived > p.position))
    ) r
    join hivelog.queues q on q.id = r.queue
    join hivelog.job_types t on t.id = r.type
    left join hivelog.actors a on a.id = r.session
$$;
-- The jobs that waited or ran at a time, by what the log held at that position.
create or replace function hivelog_reports.live_jobs_at(at timestamptz)
returns table (job_id uuid, queue text, type text, status text, worker text, started_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with moment as materialized (
        select hivelog.position_at(at) as position, (select array_agg(q.id) from hivelog.queues q) as queues
    ), live as (
        select w.job, w.queue, w.type, case when w.able then 'queued' else 'pending' end as status,
            null::integer as session, null::timestamptz as started_at
        from moment m, hivelog.waiting_at(m.queues, m.position) w
        union all
        select l.job, l.queue, l.type, 'processing', l.session, l.started_at
        from moment m, hivelog.running_at(m.queues, m.position) l
    )
    select l.job, q.name, t.name, l.status, hivelog.worker_name(a.name), l.started_at
    from live l
    join hivelog.queues q on q.id = l.queue
    join hivelog.job_types t on t.id = l.type
    left join hivelog.actors a on a.id = l.session
$$;

comment on function hivelog_reports.jobs_at(timestamptz) is 'Every job that existed at a time, in the state that it was in; waiting_since is the begin of its last round. Reads all rounds.';
comment on function hivelog_reports.live_jobs_at(timestamptz) is 'The jobs that waited or ran at a time; quick however long the log is.';
