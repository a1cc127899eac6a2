-- What each queue held at a position: its last mark up to there, and what happened since. Marks stand at the
-- ends of appends, old ones once a second, so only events of the position's own second can be missing in them.
create or replace function hivelog.depths_at(in_queues smallint[], at_position bigint, at_time timestamptz)
returns table (queue smallint, pending integer, ready integer, running integer)
language sql stable rows 50 as $$
    with marks as materialized (
        select q.id, coalesce(m.position, 0) as position, coalesce(m.pending, 0) as pending,
            coalesce(m.ready, 0) as ready, coalesce(m.running, 0) as running
        from unnest(in_queues) q (id)
        left join lateral (
            select x.* from hivelog.queue_marks x where x.queue = q.id and x.position <= at_position
            order by x.position desc limit 1
        ) m on true
    ), since as materialized (
        select hivelog.position_at(date_trunc('second', least(at_time, (
            select e.recorded_at from hivelog.events e where e.position = at_position)))
            - interval '1 millisecond') as position
    ), later as (
        select e.queue, e.type, e.data ->> 'to' as target,
            case when e.type = 'enqueued'
                then coalesce((e.data ->> 'scheduled_for')::timestamptz <= e.recorded_at, true)
                when e.type = 'rescheduled' then coalesce(e.data ->> 'to' = 'ready',
                    (e.data ->> 'scheduled_for')::timestamptz <= e.recorded_at)
                when e.type = 'requeued' then not coalesce(e.data ? 'due_at', false) end as able,
            case when e.type in ('cancelled', 'expired', 'rescheduled')
                then hivelog.state_before(e.stream, e.version) end as source
        from hivelog.events e
        join marks m on m.id = e.queue and e.position > m.position
        where e.position > (select s.position from since s) and e.position <= at_position
            and e.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed',
                'cancelled', 'expired', 'lost', 'released', 'requeued', 'rescheduled')
            and (e.type <> 'rescheduled' or e.data ? 'scheduled_for')
    ), steps as (
        select l.queue, x.place, x.n from later l cross join lateral (values
            (case when l.type = 'enqueued' then null when l.type = 'queued' then 'pending'
                when l.type = 'started' then 'ready' when l.type = 'requeued' then null
                when l.type in ('cancelled', 'expired', 'rescheduled') then l.source else 'running' end, -1),
            (case when l.type in ('enqueued', 'rescheduled', 'requeued')
                then case when l.able then 'ready' else 'pending' end
                when l.type in ('queued', 'released') then 'ready'
                when l.type = 'started' then 'running'
                when l.type = 'retry_scheduled' or l.target = 'pending' then 'pending' end, 1)
        ) x (place, n)
        where x.place is not null
    )
    select m.id, (m.pending + coalesce(s.pending, 0))::integer, (m.ready + coalesce(s.ready, 0))::integer,
        (m.running + coalesce(s.running, 0))::integer
    from marks m
    left join (
        select s.queue, sum(s.n) filter (where s.place = 'pending') as pending,
            sum(s.n) filter (where s.place = 'ready') as ready,
            sum(s.n) filter (where s.place = 'running') as running
        from steps s group by s.queue
    ) s on s.queue = m.id
$$;
-- Where a live job was before this version: pending, ready or running.
create or replace function hivelog.state_before(in_stream uuid, in_version integer) returns text
language sql stable as $$
    select case
        when e.type = 'started' then 'running'
        when e.type in ('retry_scheduled', 'lost') then 'pending'
        when e.type in ('queued', 'released') then 'ready'
        when e.type = 'requeued' then case when e.data ? 'due_at' then 'pending' else 'ready' end
        when e.data ->> 'to' = 'ready'
            or coalesce((e.data ->> 'scheduled_for')::timestamptz <= e.recorded_at, true) then 'ready'
        else 'pending' end
    from hivelog.events e
    where e.stream = in_stream and e.version < in_version
        and e.type not in ('progressed', 'cancel_requested', 'payload_erased', 'routed')
        and (e.type <> 'rescheduled' or e.data ? 'scheduled_for')
    order by e.version desc limit 1
$$;
