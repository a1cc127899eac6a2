-- Folds one batch of the log into jobs, queue_minutes and queue_hours, and moves their checkpoint.
-- Parameters: generation, after (where the checkpoint must stand), upto (where it then stands); the
-- tables as {jobs}, {queue_minutes}, {queue_hours}.
-- Answer: one row, moved: false when another runner was first; then nothing was written.
--
-- Every job is written once a batch, in its last state. Jobs that only were enqueued, started once and
-- completed need no order among their events: `folded` groups them, and that is most of the work there is
-- (CTEs plain_*). The others are sorted by version; running maxima over that order carry what the end of an
-- attempt needs: when it started, since when it was able to (CTEs from `running` to `mixed_state`).
-- Minutes and hours of all queues together are written as those of queue 0.
-- In SQL an event type's order is its number, and `payload_erased` is the last that concerns a job.
with moved as (
    update hivelog.checkpoints c set position = %(upto)s, updated_at = hivelog.now()
    where c.name = 'jobs' and c.generation = %(generation)s and c.position = %(after)s
    returning 1
), folded as materialized (
    select f.*, case when f.plain and f.created_at < (f.spec ->> 'scheduled_for')::timestamptz
        then (f.spec ->> 'scheduled_for')::timestamptz end as due_at
    from (
        select b.stream as id, min(b.version) = 1 as new, max(b.version) as version, max(b.position) as position,
            max(b.queue) as queue, max(b.body_size) filter (where b.type = 'enqueued') as size,
            min(b.position) filter (where b.type = 'enqueued') as enqueued,
            min(b.recorded_at) filter (where b.type = 'enqueued') as created_at,
            max(b.position) filter (where b.type = 'started') as token,
            max(b.recorded_at) filter (where b.type = 'started') as started_at,
            max(b.actor) filter (where b.type = 'started') as session,
            max(b.attempt) filter (where b.type = 'started') as attempt,
            max(b.recorded_at) filter (where b.type = 'completed') as ended_at,
            max(b.correlation) as correlation,
            (array_agg(b.data) filter (where b.type = 'enqueued'))[1] as spec,
            bool_and(b.type in ('enqueued', 'started', 'completed'))
                and count(*) filter (where b.type = 'started') < 2 as plain
        from hivelog.events_between(%(after)s, %(upto)s) b
        where b.type <= 'payload_erased' and exists (select from moved)
        group by b.stream
    ) f
), old as materialized (
    select o.* from (select f.id from folded f where not f.new) f
    -- One probe of the key each, whatever the planner thinks of the table's size.
    cross join lateral (select j.*, j.ctid as place from {jobs} j where j.id = f.id limit 1) o
), plain_jobs as (
    select f.* from folded f where f.plain
), plain_state as (
    select f.id, not f.new as known, f.position, f.version, f.queue,
        (case when f.ended_at is not null then 'completed' when f.token is not null then 'processing'
            when f.due_at is not null then 'pending' else 'queued' end)::hivelog.job_status as status,
        coalesce(f.enqueued, o.enqueued) as enqueued, coalesce(f.created_at, o.created_at) as created_at,
        case when f.token is null and f.ended_at is null then f.due_at end as due_at,
        case when not f.new then o.ready_at when f.due_at is null then f.created_at end as ready_at,
        coalesce(f.started_at, o.started_at) as started_at, f.ended_at,
        coalesce(f.token, o.token) as token, coalesce(f.session, o.session) as session,
        coalesce(y.id, o.type) as type, coalesce(f.size, o.size, 0) as size,
        coalesce(f.attempt, o.attempt, 0::smallint) as attempt,
        coalesce(o.priority, (f.spec ->> 'priority')::smallint) as priority,
        coalesce(o.retry, 0::smallint) as retry, null::real as progress, false as cancelling,
        coalesce(o.erased, false) as erased,
        coalesce(o.expires_at, (f.spec ->> 'expires_at')::timestamptz) as expires_at,
        f.correlation, f.spec, o.error_token, o.cause, o.error_type, o.fingerprint, o.template
    from plain_jobs f
    left join old o on o.id = f.id and not f.new
    left join hivelog.job_types y on y.name = f.spec ->> 'type'
), running as materialized (
    select b.*,
        max(b.position) filter (where b.step) over w as step_at,
        max(b.position) filter (where b.type = 'started') over w as token,
        max(b.recorded_at) filter (where b.type = 'started') over w as started_at,
        max(b.recorded_at) filter (where b.able) over w as ready_at,
        lead(b.version) over w is null as last
    from (
        select b.*,
            -- Steps to another status; the rest only tell something about the job.
            b.type not in ('progressed', 'cancel_requested', 'payload_erased', 'routed')
                and (b.type <> 'rescheduled' or coalesce(b.data ? 'scheduled_for', false)) as step,
            case
                when b.type in ('queued', 'released') then true
                when b.type = 'requeued' then not coalesce(b.data ? 'due_at', false)
                when b.type = 'enqueued'
                    then coalesce((b.data ->> 'scheduled_for')::timestamptz <= b.recorded_at, true)
                when b.type = 'rescheduled' then coalesce(b.data ->> 'to' = 'ready',
                    (b.data ->> 'scheduled_for')::timestamptz <= b.recorded_at, false)
                else false
            end as able
        from hivelog.events_between(%(after)s, %(upto)s) b
        -- Read a second time only where there are any: to keep a batch for that costs all the others more.
        where exists (select from folded f where not f.plain)
            and b.type <= 'payload_erased' and b.stream in (select f.id from folded f where not f.plain)
    ) b
    window w as (partition by b.stream order by b.version rows unbounded preceding)
), told as materialized (
    -- What only some events say, the last word of each; no row for a job that just ran.
    select r.stream, max(r.position) filter (where r.type = 'progressed') as percent_at,
        max(r.position) filter (where r.type = 'released') as released_at,
        max(r.position) filter (where r.type = 'cancel_requested') as cancel_at,
        max(r.position) filter (where r.type in ('retry_scheduled', 'failed', 'requeued')) as error_at,
        max(r.position) filter (where r.type in ('retry_scheduled', 'failed', 'expired', 'lost', 'cancelled',
            'requeued')) as cause_at,
        (array_agg((r.data ->> 'percent')::real order by r.version desc)
            filter (where r.type = 'progressed'))[1] as percent,
        (array_agg(coalesce((r.data ->> 'retry')::smallint, 0)
            order by r.version desc) filter (where r.type = 'requeued' or r.data ? 'retry'))[1] as retry,
        (array_agg((r.data ->> 'priority')::smallint order by r.version desc)
            filter (where r.type = 'rescheduled' and r.data ? 'priority'))[1] as priority,
        (array_agg(r.body_size order by r.version desc)
            filter (where r.type = 'requeued' and r.body_size is not null))[1] as size,
        bool_or(r.type = 'requeued' and coalesce((r.data ->> 'unbound')::boolean, false)) as unbound,
        bool_or(r.type = 'payload_erased') as erased
    from running r
    where r.type in ('progressed', 'retry_scheduled', 'failed', 'cancel_requested', 'cancelled', 'expired',
        'lost', 'released', 'requeued', 'rescheduled', 'payload_erased')
    group by r.stream
), behind as materialized (
    -- The last step of the jobs whose last event is none.
    select s.* from running r join running s on s.position = r.step_at where r.last and not r.step
), last as (
    select r.stream as id, r.position, r.version, r.queue, r.token, r.started_at, r.ready_at, r.step_at,
        case when r.step then r.type else s.type end as step,
        case when r.step then r.able else s.able end as able,
        case when r.step then r.recorded_at else s.recorded_at end as step_time,
        case when r.step then r.data else s.data end as step_data
    from running r
    left join behind s on s.stream = r.stream
    where r.last
), mixed_state as (
    select l.id, n.stream is null as known, l.position, l.version, l.queue, x.status,
        coalesce(n.position, o.enqueued) as enqueued, coalesce(n.recorded_at, o.created_at) as created_at,
        case when l.step is null then o.due_at when x.status <> 'pending' then null
            when l.step in ('enqueued', 'rescheduled') then (l.step_data ->> 'scheduled_for')::timestamptz
            else (l.step_data ->> 'due_at')::timestamptz end as due_at,
        coalesce(l.ready_at, o.ready_at) as ready_at, coalesce(l.started_at, o.started_at) as started_at,
        case when l.step is null then o.ended_at when x.status >= 'completed' then l.step_time end as ended_at,
        coalesce(l.token, o.token) as token, coalesce(b.actor, o.session) as session,
        coalesce(y.id, o.type) as type, coalesce(t.size, n.body_size, o.size, 0) as size,
        coalesce(b.attempt, o.attempt, 0)
            - case when t.released_at > coalesce(l.token, 0) then 1 else 0 end as attempt,
        coalesce(t.priority, o.priority, (n.data ->> 'priority')::smallint) as priority,
        coalesce(t.retry, o.retry, 0) as retry,
        -- Progress and a request to cancel live as long as the attempt that they speak of.
        case when x.status = 'processing' then case when t.percent_at > coalesce(l.token, 0) then t.percent
            when l.token is null then o.progress end end as progress,
        x.status = 'processing' and (coalesce(t.cancel_at > coalesce(l.token, 0), false)
            or l.token is null and o.cancelling) as cancelling,
        coalesce(t.erased, false) or coalesce(o.erased, false) as erased,
        case when not t.unbound then coalesce(o.expires_at, (n.data ->> 'expires_at')::timestamptz)
            when t.stream is null then coalesce(o.expires_at, (n.data ->> 'expires_at')::timestamptz)
        end as expires_at,
        coalesce(n.correlation, o.correlation) as correlation, n.data as spec,
        case when e.type is null then o.error_token when e.body_size is not null then coalesce(e.token, o.token)
        end as error_token,
        case when c.type is null then o.cause else coalesce(c.data ->> 'cause',
            case c.type when 'failed' then 'error' when 'lost' then 'lost' when 'cancelled' then 'requested' end)
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
    left join running c on c.position = t.cause_at
    cross join lateral (
        select coalesce(case l.step
            when 'enqueued' then case when l.able then 'queued' else 'pending' end
            when 'queued' then 'queued' when 'released' then 'queued'
            when 'requeued' then case when l.able then 'queued' else 'pending' end
            when 'started' then 'processing' when 'completed' then 'completed' when 'failed' then 'failed'
            when 'cancelled' then 'cancelled' when 'expired' then 'expired'
            when 'retry_scheduled' then 'pending'
            when 'rescheduled' then case when l.able then 'queued' else 'pending' end
            when 'lost' then l.step_data ->> 'to'
        end::hivelog.job_status, o.status) as status offset 0
    ) x
), state as materialized (
    select * from plain_state union all select * from mixed_state
), added as (
    insert into {jobs} (id, enqueued, position, created_at, due_at, ready_at, started_at, ended_at, token,
        error_token, session, type, version, size, queue, priority, attempt, retry, progress, status,
        cancelling, erased, expires_at, correlation, source, tags, cause, error_type, fingerprint, template)
    select s.id, s.enqueued, s.position, s.created_at, s.due_at, s.ready_at, s.started_at, s.ended_at,
        s.token, case when s.status <> 'completed' then s.error_token end, s.session, s.type, s.version, s.size,
        s.queue, s.priority, s.attempt, s.retry, s.progress, s.status, s.cancelling, s.erased, s.expires_at,
        s.correlation, s.spec ->> 'source',
        case when s.spec ? 'tags' then array(select jsonb_array_elements_text(s.spec -> 'tags')) end,
        -- A job that completed has no error, whatever its earlier attempts had.
        case when s.status <> 'completed' then s.cause end,
        case when s.status <> 'completed' then s.error_type end,
        case when s.status <> 'completed' then s.fingerprint end,
        case when s.status <> 'completed' then s.template end
    from state s
    where not s.known
), changed as (
    update {jobs} j set position = s.position, due_at = s.due_at, ready_at = s.ready_at,
        started_at = s.started_at, ended_at = s.ended_at, token = s.token,
        error_token = case when s.status <> 'completed' then s.error_token end, session = s.session,
        version = s.version, size = s.size, queue = s.queue, priority = s.priority, attempt = s.attempt,
        retry = s.retry, progress = s.progress, status = s.status, cancelling = s.cancelling,
        erased = s.erased, expires_at = s.expires_at,
        cause = case when s.status <> 'completed' then s.cause end,
        error_type = case when s.status <> 'completed' then s.error_type end,
        fingerprint = case when s.status <> 'completed' then s.fingerprint end,
        template = case when s.status <> 'completed' then s.template end
    -- By its place: a join by the key would be planned as a scan of the table, small as it was when it was new.
    from state s join old o on o.id = s.id
    where s.known and j.ctid = o.place
), timed as (
    -- What counts in the minutes: `since` is what a start waited from, and a completed attempt ran from.
    select f.queue, 'enqueued'::hivelog.event_type as type, null::text as lost_to, f.created_at as at,
        null::timestamptz as since
    from plain_jobs f where f.new
    union all
    select f.queue, 'started', null, f.started_at,
        case when not f.new then o.ready_at when f.due_at is null then f.created_at end
    from plain_jobs f left join old o on o.id = f.id and not f.new
    where f.started_at is not null
    union all
    select f.queue, 'completed', null, f.ended_at, coalesce(f.started_at, o.started_at)
    from plain_jobs f left join old o on o.id = f.id and f.started_at is null
    where f.ended_at is not null
    union all
    select r.queue, r.type, r.data ->> 'to', r.recorded_at, case r.type
        when 'started' then coalesce(r.ready_at, o.ready_at)
        when 'completed' then coalesce(r.started_at, o.started_at) end
    from running r
    -- Only the first steps of a batch can need what an earlier batch knew.
    left join old o on o.id = r.stream and (r.type = 'started' and r.ready_at is null
        or r.type = 'completed' and r.started_at is null)
    where r.type in ('enqueued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled', 'expired',
        'lost', 'released', 'requeued')
), counted as materialized (
    -- By minute and by the histograms' buckets at once, which leaves a few rows of many events; to count equal times
    -- first costs more than it saves wherever appends are small.
    select t.queue, t.minute, t.type, t.lost_to, hivelog.bucket(t.ms) as slot, count(*)::integer as n, sum(t.ms) as ms
    from (
        select t.queue, t.type, t.lost_to, floor(date_part('epoch', t.at) / 60)::bigint as minute,
            round(date_part('epoch', t.at - t.since) * 1000) as ms
        from timed t offset 0  -- computed once
    ) t
    group by t.queue, t.minute, t.type, t.lost_to, hivelog.bucket(t.ms)
), counts as materialized (
    select coalesce(g.queue, 0) as queue, g.minute,
        coalesce(sum(g.n) filter (where g.type = 'enqueued'), 0) as enqueued,
        coalesce(sum(g.n) filter (where g.type = 'started'), 0) as started,
        coalesce(sum(g.n) filter (where g.type = 'completed'), 0) as completed,
        coalesce(sum(g.n) filter (where g.type = 'failed' or g.lost_to = 'failed'), 0) as failed,
        coalesce(sum(g.n) filter (where g.type = 'expired'), 0) as expired,
        coalesce(sum(g.n) filter (where g.type = 'cancelled' or g.lost_to = 'cancelled'), 0) as cancelled,
        coalesce(sum(g.n) filter (where g.type = 'lost'), 0) as lost,
        coalesce(sum(g.n) filter (where g.type = 'retry_scheduled' or g.lost_to = 'pending'), 0) as retried,
        coalesce(sum(g.n) filter (where g.type = 'requeued'), 0) as requeued,
        coalesce(sum(g.n) filter (where g.type = 'released'), 0) as released,
        coalesce(sum(g.n) filter (where g.type = 'started' and g.slot is not null), 0) as waited,
        coalesce(sum(g.ms) filter (where g.type = 'started'), 0) as wait_ms,
        coalesce(sum(g.ms) filter (where g.type = 'completed'), 0) as run_ms
    from counted g
    group by g.minute, grouping sets ((g.queue), ())
), spread as materialized (
    select coalesce(g.queue, 0) as queue, g.minute, g.type = 'started' as waited, g.slot, sum(g.n)::integer as n
    from counted g where g.slot is not null
    group by g.minute, g.type = 'started', g.slot, grouping sets ((g.queue), ())
), minutes as (
    insert into {queue_minutes} as m (queue, minute, enqueued, started, completed, failed, expired, cancelled,
        lost, retried, requeued, released, waited, wait_ms, run_ms, waits, runs, ended_seconds)
    select c.queue, to_timestamp(c.minute * 60), c.enqueued, c.started, c.completed, c.failed, c.expired, c.cancelled,
        c.lost, c.retried, c.requeued, c.released, c.waited, c.wait_ms, c.run_ms,
        coalesce(s.waits, '{{}}'), coalesce(s.runs, '{{}}'), coalesce(d.ended, '{{}}')
    from counts c
    left join (
        select s.queue, s.minute,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where s.waited),
                array_agg(s.n) filter (where s.waited)) as waits,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where not s.waited),
                array_agg(s.n) filter (where not s.waited)) as runs
        from spread s group by s.queue, s.minute
    ) s on s.queue = c.queue and s.minute = c.minute
    left join (
        select e.queue, e.second / 60 as minute,
            hivelog.counts_by_slot(array_agg((e.second %% 60)::integer), array_agg(e.n)) as ended
        from (
            select coalesce(b.queue, 0) as queue, floor(date_part('epoch', b.recorded_at))::bigint as second,
                count(*)::integer as n
            from (
                select f.queue, f.ended_at as recorded_at from plain_jobs f where f.ended_at is not null
                union all
                select r.queue, r.recorded_at from running r
                where r.type in ('completed', 'failed', 'expired') or r.type = 'lost' and r.data ->> 'to' = 'failed'
            ) b
            group by floor(date_part('epoch', b.recorded_at))::bigint, grouping sets ((b.queue), ())
        ) e
        group by e.queue, e.second / 60
    ) d on d.queue = c.queue and d.minute = c.minute
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
    insert into {queue_hours} as h (queue, hour, enqueued, started, completed, failed, expired, cancelled, lost,
        retried, requeued, released, waited, wait_ms, run_ms, waits, runs)
    select x.queue, to_timestamp(x.hour * 3600), x.enqueued, x.started, x.completed, x.failed, x.expired, x.cancelled,
        x.lost, x.retried, x.requeued, x.released, x.waited, x.wait_ms, x.run_ms,
        coalesce(s.waits, '{{}}'), coalesce(s.runs, '{{}}')
    from (
        select c.queue, c.minute / 60 as hour, sum(c.enqueued) as enqueued, sum(c.started) as started,
            sum(c.completed) as completed, sum(c.failed) as failed, sum(c.expired) as expired,
            sum(c.cancelled) as cancelled, sum(c.lost) as lost, sum(c.retried) as retried,
            sum(c.requeued) as requeued, sum(c.released) as released, sum(c.waited) as waited,
            sum(c.wait_ms) as wait_ms, sum(c.run_ms) as run_ms
        from counts c group by 1, 2
    ) x
    left join (
        select s.queue, s.hour,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where s.waited),
                array_agg(s.n) filter (where s.waited)) as waits,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where not s.waited),
                array_agg(s.n) filter (where not s.waited)) as runs
        from (
            select s.queue, s.minute / 60 as hour, s.waited, s.slot, sum(s.n)::integer as n
            from spread s group by 1, 2, 3, 4
        ) s
        group by s.queue, s.hour
    ) s on s.queue = x.queue and s.hour = x.hour
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
