-- Folds one batch of the log into jobs, queue_minutes and queue_hours, and moves their checkpoint.
-- Parameters: generation, after (where the checkpoint must stand), upto (where it then stands); the
-- tables as {jobs}, {minutes}, {hours}.
-- Answer: one row, moved: false when another runner was first; then nothing was written.
--
-- The batch is sorted once by job and version; running maxima over that order carry what an attempt's end
-- needs (when did it start, since when was it able to). Every job is then written once, in its last state.
-- In SQL an event type's order is its number, and `payload_erased` is the last that concerns a job.
with moved as (
    update hivelog.projections p set position = %(upto)s, updated_at = hivelog.now(), error = null
    where p.name = 'jobs' and p.generation = %(generation)s and p.position = %(after)s
    returning 1
), batch as materialized (
    select e.stream, e.version, e.position, e.recorded_at, e.type, e.actor, e.queue, e.attempt,
        e.body_size, e.correlation, e.data,
        -- Steps to another status; the rest only tell something about the job.
        e.type not in ('progressed', 'cancel_requested', 'payload_erased', 'routed')
            and (e.type <> 'rescheduled' or e.data ? 'to') as step,
        case
            when e.type in ('queued', 'released', 'requeued') then true
            when e.type = 'enqueued'
                then coalesce((e.data ->> 'scheduled_for')::timestamptz <= e.recorded_at, true)
            when e.type = 'rescheduled' then coalesce(e.data ->> 'to' = 'ready', false)
            else false
        end as able
    from hivelog.events e
    where e.position > %(after)s and e.position <= %(upto)s and e.type <= 'payload_erased'
        and exists (select from moved)
), running as materialized (
    select b.*,
        max(b.position) filter (where b.step) over w as step_at,
        max(b.position) filter (where b.type = 'started') over w as token,
        max(b.recorded_at) filter (where b.type = 'started') over w as started_at,
        max(b.recorded_at) filter (where b.able) over w as ready_at,
        lead(b.version) over w is null as last,
        min(b.version) over w as first_version
    from batch b
    window w as (partition by b.stream order by b.version rows unbounded preceding)
), old as materialized (
    select o.* from (select r.stream from running r where r.last and r.first_version > 1) r
    -- One probe of the key each, whatever the planner thinks of the table's size.
    cross join lateral (select j.* from {jobs} j where j.id = r.stream limit 1) o
), told as (
    -- What only some events say, the last word of each; no row for a job that just ran.
    select r.stream,
        (array_agg(r.data -> 'percent' order by r.version desc) filter (where r.type = 'progressed'))[1]
            as percent,
        max(r.position) filter (where r.type = 'progressed') as percent_at,
        (array_agg(case when r.type = 'requeued' then 0 else (r.data ->> 'retry')::smallint end
            order by r.version desc) filter (where r.type = 'requeued' or r.data ? 'retry'))[1] as retry,
        (array_agg((r.data ->> 'priority')::smallint order by r.version desc)
            filter (where r.type = 'rescheduled' and r.data ? 'priority'))[1] as priority,
        (array_agg(r.position order by r.version desc)
            filter (where r.type in ('retry_scheduled', 'failed', 'expired', 'lost', 'requeued')))[1] as error_at,
        max(r.position) filter (where r.type = 'cancel_requested') as cancel_at,
        bool_or(r.type = 'payload_erased') as erased
    from running r
    where r.type in ('progressed', 'retry_scheduled', 'failed', 'cancel_requested', 'expired', 'lost',
        'requeued', 'rescheduled', 'payload_erased')
    group by r.stream
), last as (
    select r.stream as id, r.position, r.version, r.queue, r.token, r.started_at, r.ready_at, r.step_at,
        case s.type
            when 'enqueued' then case when s.able then 'queued' else 'pending' end
            when 'queued' then 'queued' when 'released' then 'queued' when 'requeued' then 'queued'
            when 'started' then 'processing'
            when 'completed' then 'completed' when 'failed' then 'failed'
            when 'cancelled' then 'cancelled' when 'expired' then 'expired'
            when 'retry_scheduled' then 'pending'
            when 'rescheduled' then case when s.able then 'queued' else 'pending' end
            when 'lost' then s.data ->> 'to'
        end::hivelog.job_status as status,
        s.type as step, s.recorded_at as step_time,
        case when s.type in ('enqueued', 'rescheduled') then s.data ->> 'scheduled_for'
            else s.data ->> 'due_at' end::timestamptz as step_due
    from running r
    left join running s on s.position = r.step_at
    where r.last
), state as (
    select l.id, l.position, l.version, l.queue, l.step, l.step_at,
        coalesce(l.status, o.status) as status,
        coalesce(n.position, o.enqueued) as enqueued, coalesce(n.recorded_at, o.created_at) as created_at,
        case when l.step is null then o.due_at else l.step_due end as due_at,
        coalesce(l.ready_at, o.ready_at) as ready_at, coalesce(l.started_at, o.started_at) as started_at,
        case when l.step is null then o.ended_at
            when l.status >= 'completed' then l.step_time end as ended_at,
        coalesce(l.token, o.token) as token, coalesce(b.actor, o.session) as session,
        coalesce(b.attempt, o.attempt, 0) as attempt,
        coalesce(y.id, o.type) as type, coalesce(n.body_size, o.size, 0) as size,
        coalesce(t.priority, o.priority, (n.data ->> 'priority')::smallint) as priority,
        coalesce(t.retry, o.retry, 0) as retry,
        case when coalesce(t.percent_at, 0) > coalesce(l.token, 0) then t.percent::real
            when l.token is null and l.step is distinct from 'requeued' then o.progress end as progress,
        -- A request to cancel lives as long as the attempt that it asks to stop.
        case when l.step is null then o.cancelling or t.cancel_at is not null
            else coalesce(t.cancel_at > l.step_at, false) end as cancelling,
        coalesce(t.erased, false) or coalesce(o.erased, false) as erased,
        coalesce(n.correlation, o.correlation) as correlation, coalesce(n.data, o.spec) as spec,
        case when e.body_size is not null then coalesce(e.token, o.token)
            when e.type is null then o.error_token end as error_token,
        case when e.type is null then o.cause
            else coalesce(e.data ->> 'cause', case e.type when 'failed' then 'error' when 'lost' then 'lost' end)
            end as cause,
        case when e.type is null then o.error_type else e.data ->> 'error_type' end as error_type,
        case when e.type is null then o.fingerprint else e.data ->> 'fingerprint' end as fingerprint,
        case when e.type is null then o.template else e.data ->> 'template' end as template
    from last l
    left join running n on n.stream = l.id and n.version = 1
    left join hivelog.job_types y on y.name = n.data ->> 'type'
    left join old o on o.id = l.id
    left join running b on b.position = l.token
    left join told t on t.stream = l.id
    left join running e on e.position = t.error_at
), written as (
    insert into {jobs} as j (id, enqueued, position, created_at, due_at, ready_at, started_at, ended_at, token,
        error_token, session, type, version, size, queue, priority, attempt, retry, progress, status,
        cancelling, erased, correlation, cause, error_type, fingerprint, template, spec)
    select s.id, s.enqueued, s.position, s.created_at, s.due_at, s.ready_at, s.started_at, s.ended_at,
        s.token, x.error_token, s.session, s.type, s.version, s.size, s.queue, s.priority, s.attempt, s.retry,
        s.progress, s.status, s.cancelling, s.erased, s.correlation, x.cause, x.error_type, x.fingerprint,
        x.template, s.spec
    from state s
    -- A job that completed has no error, whatever its earlier attempts had.
    left join lateral (select s.error_token, s.cause, s.error_type, s.fingerprint, s.template
        where s.status <> 'completed') x on true
    on conflict (id) do update set position = excluded.position, due_at = excluded.due_at,
        ready_at = excluded.ready_at, started_at = excluded.started_at, ended_at = excluded.ended_at,
        token = excluded.token, error_token = excluded.error_token, session = excluded.session,
        version = excluded.version, queue = excluded.queue, priority = excluded.priority,
        attempt = excluded.attempt, retry = excluded.retry, progress = excluded.progress,
        status = excluded.status, cancelling = excluded.cancelling, erased = excluded.erased,
        cause = excluded.cause, error_type = excluded.error_type, fingerprint = excluded.fingerprint,
        template = excluded.template
), timed as materialized (
    select r.queue, r.type, r.recorded_at, r.data ->> 'to' as lost_to,
        case r.type
            when 'started' then r.recorded_at - coalesce(r.ready_at, o.ready_at)
            when 'completed' then r.recorded_at - coalesce(r.started_at, o.started_at)
        end as took
    from running r
    -- Only the first steps of a batch can need what an earlier batch knew.
    left join old o on o.id = r.stream and (r.type = 'started' and r.ready_at is null
        or r.type = 'completed' and r.started_at is null)
    where r.type not in ('queued', 'progressed', 'cancel_requested', 'rescheduled', 'routed', 'payload_erased')
), samples as materialized (
    select t.queue, t.type, t.lost_to, date_trunc('minute', t.recorded_at, 'UTC') as minute,
        (extract(epoch from t.took) * 1000)::bigint as ms, t.recorded_at
    from timed t
), grouped as materialized (
    -- One row per second and bucket: what all three kinds of counts are made of.
    select s.queue, s.minute, s.type, s.lost_to,
        floor(extract(second from s.recorded_at))::integer as second,
        hivelog.bucket(s.ms) as bucket, count(*)::integer as n, sum(s.ms) as ms, count(s.ms)::integer as timed
    from samples s
    group by 1, 2, 3, 4, 5, 6
), counts as materialized (
    select g.queue, g.minute,
        coalesce(sum(g.n) filter (where g.type = 'enqueued'), 0)::integer as enqueued,
        coalesce(sum(g.n) filter (where g.type = 'started'), 0)::integer as started,
        coalesce(sum(g.n) filter (where g.type = 'completed'), 0)::integer as completed,
        coalesce(sum(g.n) filter (where g.type = 'failed' or g.lost_to = 'failed'), 0)::integer as failed,
        coalesce(sum(g.n) filter (where g.type = 'expired'), 0)::integer as expired,
        coalesce(sum(g.n) filter (where g.type = 'cancelled' or g.lost_to = 'cancelled'), 0)::integer as cancelled,
        coalesce(sum(g.n) filter (where g.type = 'lost'), 0)::integer as lost,
        coalesce(sum(g.n) filter (where g.type = 'retry_scheduled' or g.lost_to = 'pending'), 0)::integer
            as retried,
        coalesce(sum(g.n) filter (where g.type = 'requeued'), 0)::integer as requeued,
        coalesce(sum(g.n) filter (where g.type = 'released'), 0)::integer as released,
        coalesce(sum(g.timed) filter (where g.type = 'started'), 0)::integer as waited,
        coalesce(sum(g.ms) filter (where g.type = 'started'), 0)::bigint as wait_ms,
        coalesce(sum(g.ms) filter (where g.type = 'completed'), 0)::bigint as run_ms
    from grouped g
    group by g.queue, g.minute
), slots as materialized (
    select d.queue, d.minute,
        coalesce(hivelog.dense_counts(array_agg(d.slot) filter (where d.kind = 'started'),
            array_agg(d.n) filter (where d.kind = 'started')), '{{}}') as waits,
        coalesce(hivelog.dense_counts(array_agg(d.slot) filter (where d.kind = 'completed'),
            array_agg(d.n) filter (where d.kind = 'completed')), '{{}}') as runs,
        coalesce(hivelog.dense_counts(array_agg(d.slot) filter (where d.kind = 'ended'),
            array_agg(d.n) filter (where d.kind = 'ended')), '{{}}') as ended_seconds
    from (
        select g.queue, g.minute, g.type::text as kind, g.bucket as slot, sum(g.n)::integer as n
        from grouped g where g.type in ('started', 'completed') and g.bucket is not null
        group by 1, 2, 3, 4
        union all
        select g.queue, g.minute, 'ended', g.second, sum(g.n)::integer
        from grouped g where g.type in ('completed', 'failed', 'expired') or g.lost_to = 'failed'
        group by 1, 2, 4
    ) d
    group by d.queue, d.minute
), minutes as (
    insert into {minutes} as m (queue, minute, enqueued, started, completed, failed, expired, cancelled, lost,
        retried, requeued, released, waited, wait_ms, run_ms, waits, runs, ended_seconds)
    select c.*, coalesce(s.waits, '{{}}'), coalesce(s.runs, '{{}}'), coalesce(s.ended_seconds, '{{}}')
    from counts c left join slots s on s.queue = c.queue and s.minute = c.minute
    on conflict (queue, minute) do update set enqueued = m.enqueued + excluded.enqueued,
        started = m.started + excluded.started, completed = m.completed + excluded.completed,
        failed = m.failed + excluded.failed, expired = m.expired + excluded.expired,
        cancelled = m.cancelled + excluded.cancelled, lost = m.lost + excluded.lost,
        retried = m.retried + excluded.retried, requeued = m.requeued + excluded.requeued,
        released = m.released + excluded.released, waited = m.waited + excluded.waited,
        wait_ms = m.wait_ms + excluded.wait_ms, run_ms = m.run_ms + excluded.run_ms,
        waits = hivelog.add_counts(m.waits, excluded.waits),
        runs = hivelog.add_counts(m.runs, excluded.runs),
        ended_seconds = hivelog.add_counts(m.ended_seconds, excluded.ended_seconds)
), hours as (
    insert into {hours} as h (queue, hour, enqueued, started, completed, failed, expired, cancelled, lost,
        retried, requeued, released, waited, wait_ms, run_ms, waits, runs)
    select x.*, coalesce(w.waits, '{{}}'), coalesce(w.runs, '{{}}')
    from (
        select c.queue, date_trunc('hour', c.minute, 'UTC') as hour, sum(c.enqueued), sum(c.started),
            sum(c.completed), sum(c.failed), sum(c.expired), sum(c.cancelled), sum(c.lost), sum(c.retried),
            sum(c.requeued), sum(c.released), sum(c.waited), sum(c.wait_ms), sum(c.run_ms)
        from counts c group by 1, 2
    ) x
    left join (
        select d.queue, d.hour,
            hivelog.dense_counts(array_agg(d.slot) filter (where d.type = 'started'),
                array_agg(d.n) filter (where d.type = 'started')) as waits,
            hivelog.dense_counts(array_agg(d.slot) filter (where d.type = 'completed'),
                array_agg(d.n) filter (where d.type = 'completed')) as runs
        from (
            select g.queue, date_trunc('hour', g.minute, 'UTC') as hour, g.type, g.bucket as slot,
                sum(g.n)::integer as n
            from grouped g where g.type in ('started', 'completed') and g.bucket is not null
            group by 1, 2, 3, 4
        ) d
        group by d.queue, d.hour
    ) w on w.queue = x.queue and w.hour = x.hour
    on conflict (queue, hour) do update set enqueued = h.enqueued + excluded.enqueued,
        started = h.started + excluded.started, completed = h.completed + excluded.completed,
        failed = h.failed + excluded.failed, expired = h.expired + excluded.expired,
        cancelled = h.cancelled + excluded.cancelled, lost = h.lost + excluded.lost,
        retried = h.retried + excluded.retried, requeued = h.requeued + excluded.requeued,
        released = h.released + excluded.released, waited = h.waited + excluded.waited,
        wait_ms = h.wait_ms + excluded.wait_ms, run_ms = h.run_ms + excluded.run_ms,
        waits = hivelog.add_counts(h.waits, excluded.waits),
        runs = hivelog.add_counts(h.runs, excluded.runs)
)
select exists (select from moved) as moved
