-- Folds one batch of the log into rounds and moves its checkpoint.
-- Parameters: generation, after, upto as in projection_jobs; the table as {rounds}.
-- Answer: one row, moved: false when another runner was first; then nothing was written.
--
-- Jobs that only were enqueued, started once and completed are grouped without an order (`folded`). Of the
-- others every event is numbered by the rounds that began up to it; 0 is the one that an earlier batch left open.
-- What joins of thousands are filtered by are booleans, which the planner takes for half of the rows; `round = 0` it
-- takes for one, and then compares each with each.
with moved as (
    update hivelog.checkpoints c set position = %(upto)s, updated_at = hivelog.now()
    where c.name = 'rounds' and c.generation = %(generation)s and c.position = %(after)s
    returning 1
), folded as materialized (
    select b.stream as id, min(b.version) = 1 as new, max(b.queue) as queue,
        min(b.position) filter (where b.type = 'enqueued') as began,
        min(b.recorded_at) filter (where b.type = 'enqueued') as began_at,
        max(b.position) filter (where b.type = 'started') as started,
        max(b.recorded_at) filter (where b.type = 'started') as started_at,
        max(b.actor) filter (where b.type = 'started') as session,
        max(b.attempt) filter (where b.type = 'started') as attempt,
        max(b.position) filter (where b.type = 'completed') as ended,
        max(b.recorded_at) filter (where b.type = 'completed') as ended_at,
        (array_agg(b.data) filter (where b.type = 'enqueued'))[1] as spec,
        bool_and(b.type in ('enqueued', 'started', 'completed')) as plain
    from hivelog.events_between(%(after)s, %(upto)s) b
    where b.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled', 'expired',
            'lost', 'released', 'requeued', 'rescheduled')
        and exists (select from moved)
    group by b.stream
), plain_new as (
    select f.*, y.id as type, (f.spec ->> 'priority')::smallint as priority,
        coalesce((f.spec ->> 'scheduled_for')::timestamptz <= f.began_at, true) as able
    from folded f
    join hivelog.job_types y on y.name = f.spec ->> 'type'
    where f.plain and f.new
), put as (
    insert into {rounds} (job, began, ready, started, ended, began_at, ready_at, started_at, ended_at, type,
        session, queue, priority, attempt, wait_level, run_level, outcome, status)
    select p.id, p.began, case when p.able then p.began end, p.started, p.ended, p.began_at,
        case when p.able then p.began_at end, p.started_at, p.ended_at, p.type, p.session, p.queue, p.priority,
        p.attempt, hivelog.span_level(p.started - p.began), hivelog.span_level(p.ended - p.started),
        case when p.ended is not null then 'completed'::hivelog.event_type end,
        case when p.ended is not null then 'completed'::hivelog.job_status end
    from plain_new p
), old as materialized (
    -- The last round of each job that is not new, and its place: rows are changed by that, since a join by the key
    -- would be planned as a scan of the table, small as it was when it was new.
    select o.*, o.ended is null as open from (select f.id from folded f where not f.new) f
    cross join lateral (
        select r.*, r.ctid as place from {rounds} r where r.job = f.id order by r.began desc limit 1
    ) o
), went_on as (
    update {rounds} r set started = coalesce(f.started, r.started),
        started_at = coalesce(f.started_at, r.started_at), session = coalesce(f.session, r.session),
        attempt = coalesce(f.attempt, r.attempt), ended = f.ended, ended_at = f.ended_at,
        wait_level = hivelog.span_level(coalesce(f.started, r.started) - r.began),
        run_level = hivelog.span_level(f.ended - coalesce(f.started, r.started)),
        outcome = case when f.ended is not null then 'completed'::hivelog.event_type end,
        status = case when f.ended is not null then 'completed'::hivelog.job_status end
    from folded f join old o on o.job = f.id
    where f.plain and o.open and r.ctid = o.place
), marked as (
    select b.*,
        b.type in ('enqueued', 'retry_scheduled', 'released', 'requeued', 'rescheduled')
            or b.type = 'lost' and b.data ->> 'to' = 'pending' as begins,
        b.type in ('completed', 'retry_scheduled', 'failed', 'cancelled', 'expired', 'lost', 'released',
            'rescheduled') as ends,
        -- Whether it waits for a worker from here on (1) or for its time (0).
        case
            when b.type in ('queued', 'released') then 1
            when b.type = 'requeued' then (not coalesce(b.data ? 'due_at', false))::integer
            when b.type in ('retry_scheduled', 'lost') then 0
            when b.type = 'enqueued'
                then coalesce((b.data ->> 'scheduled_for')::timestamptz <= b.recorded_at, true)::integer
            when b.type = 'rescheduled' and b.data ? 'scheduled_for'
                then coalesce(b.data ->> 'to' = 'ready',
                    (b.data ->> 'scheduled_for')::timestamptz <= b.recorded_at)::integer
        end as able,
        case when b.type in ('enqueued', 'rescheduled') then (b.data ->> 'priority')::smallint end as priority
    from hivelog.events_between(%(after)s, %(upto)s) b
    -- Read a second time only where there are any: to keep a batch for that costs all the others more.
    where exists (select from folded f where not f.plain)
        and b.stream in (select f.id from folded f where not f.plain)
        and b.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled', 'expired',
            'lost', 'released', 'requeued', 'rescheduled')
), numbered as materialized (
    select m.*, count(*) filter (where m.begins) over w as round, count(m.able) over w as steps,
        count(m.priority) over w as priorities
    from marked m
    window w as (partition by m.stream order by m.version rows unbounded preceding)
), stated as materialized (
    select n.*, case when n.ends then n.round - n.begins::integer else n.round end as inside,
        coalesce(max(n.able) over (partition by n.stream, n.steps),
            (o.ready is not null)::integer) as able_now,
        -- Another priority does not make it wait anew.
        coalesce(max(case when n.able = 1 then n.recorded_at end) over (partition by n.stream, n.steps),
            case when n.steps = 0 then o.ready_at end) as able_since,
        coalesce(max(n.priority) over (partition by n.stream, n.priorities), o.priority) as priority_now,
        coalesce(y.id, o.type) as type_id
    from numbered n
    left join old o on o.job = n.stream
    left join folded f on f.id = n.stream
    left join hivelog.job_types y on y.name = f.spec ->> 'type'
), inside as materialized (
    select s.stream, s.inside as round, s.inside = 0 as left_open,
        max(s.position) filter (where s.type = 'queued') as ready,
        max(s.recorded_at) filter (where s.type = 'queued') as ready_at,
        max(s.position) filter (where s.type = 'started') as started,
        max(s.recorded_at) filter (where s.type = 'started') as started_at,
        max(s.actor) filter (where s.type = 'started') as session,
        max(s.attempt) filter (where s.type = 'started') as attempt,
        max(s.position) filter (where s.ends) as ended,
        max(s.recorded_at) filter (where s.ends) as ended_at,
        max(s.type) filter (where s.ends) as outcome,
        max(case
            when s.type in ('completed', 'failed', 'cancelled', 'expired') then s.type::text
            when s.type = 'lost' and s.data ->> 'to' <> 'pending' then s.data ->> 'to'
        end)::hivelog.job_status as status,
        max(case when s.type <> 'completed' then coalesce(s.data ->> 'cause',
            case s.type when 'failed' then 'error' when 'lost' then 'lost' when 'cancelled' then 'requested' end)
        end) filter (where s.ends) as cause
    from stated s
    where s.ends or s.type in ('started', 'queued')
    group by s.stream, s.inside
), begun as materialized (
    select s.stream, s.round, s.round = 1 as first, s.position, s.recorded_at, s.type, s.type_id, s.queue,
        s.able_now, s.able_since, s.priority_now
    from stated s where s.begins
), again as (
    insert into {rounds} (job, began, ready, started, ended, revived, began_at, ready_at, started_at, ended_at,
        type, session, queue, priority, attempt, wait_level, run_level, outcome, status, cause)
    select b.stream, b.position, case when b.able_now = 1 then b.position else i.ready end, i.started, i.ended,
        case when n.type = 'requeued' then n.position end, b.recorded_at,
        case when b.able_now = 1 then b.able_since else i.ready_at end, i.started_at, i.ended_at,
        b.type_id, i.session, b.queue, b.priority_now, i.attempt,
        hivelog.span_level(coalesce(i.started, i.ended) - b.position),
        hivelog.span_level(i.ended - i.started), i.outcome, i.status, i.cause
    from begun b
    left join inside i on i.stream = b.stream and i.round = b.round
    left join begun n on n.stream = b.stream and n.round = b.round + 1
), left_open as (
    update {rounds} r set ready = coalesce(r.ready, i.ready), ready_at = coalesce(r.ready_at, i.ready_at),
        started = coalesce(i.started, r.started), started_at = coalesce(i.started_at, r.started_at),
        session = coalesce(i.session, r.session), attempt = coalesce(i.attempt, r.attempt),
        ended = i.ended, ended_at = i.ended_at, outcome = i.outcome, status = i.status, cause = i.cause,
        revived = case when n.type = 'requeued' then n.position end,
        wait_level = hivelog.span_level(coalesce(i.started, r.started, i.ended) - r.began),
        run_level = hivelog.span_level(i.ended - coalesce(i.started, r.started))
    from inside i
    join old o on o.job = i.stream
    left join begun n on n.stream = i.stream and n.first
    where i.left_open and o.open and r.ctid = o.place
), left_ended as (
    update {rounds} r set revived = b.position
    from begun b join old o on o.job = b.stream and not o.open
    where b.first and b.type = 'requeued' and r.ctid = o.place
)
select exists (select from moved) as moved
