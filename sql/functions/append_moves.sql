-- Moves of jobs other than enqueue, end of a lease and start; called by hivelog.append under the lock.
-- moves: [{job, event, source: pending|ready|lease|ended, target: pending|ready|none, version, actor,
--   queue, type, priority, due_at (the key a waiting job has now), token (of a lease),
--   new_priority, new_due_at, retry, attempt, enqueued, size, expires_at, spec (ended jobs bring them),
--   data, slot, body, digest (base64), body_size}]
-- Guard: the live row with that key and version, the lease with that token, or the version of an ended
-- job and that its last event is an end; nothing lives again in a deleted queue. Refusals are
-- `conflict`: reload, decide again.
create or replace function hivelog.append_moves(
    moves jsonb, h bigint, t timestamptz,
    out refused_n integer[], out refused_code text[], out accepted integer,
    out q smallint[], out a integer[], out b integer[], out c integer[]
) language sql volatile as $$
    with i as materialized (
        select x.* from rows from (jsonb_to_recordset(moves) as (
            job uuid, event hivelog.event_type, source text, target text, version integer, actor integer,
            queue smallint, type integer, priority smallint, due_at timestamptz, token bigint,
            new_priority smallint, new_due_at timestamptz, retry smallint, attempt smallint,
            enqueued bigint, size integer, expires_at timestamptz, spec jsonb, data jsonb,
            slot smallint, body text, digest text, body_size integer
        )) with ordinality as x (
            job, event, source, target, version, actor, queue, type, priority, due_at, token,
            new_priority, new_due_at, retry, attempt, enqueued, size, expires_at, spec, data,
            slot, body, digest, body_size, n)
    ), from_pending as (
        delete from hivelog.pending p using i
        where i.source = 'pending' and p.due_at = any (array[i.due_at]) and p.job = i.job and p.version = i.version
            and (i.event <> 'queued' or p.due_at <= t)
            and (i.event <> 'expired' or p.expires_at <= t)
        returning i.n, p.queue, p.type, p.priority, p.version, p.attempt, p.retry, p.size, p.enqueued,
            p.expires_at, p.spec
    ), from_ready as (
        delete from hivelog.ready r using i
        where i.source = 'ready' and r.queue = any (array[i.queue]) and r.type = i.type and r.priority = i.priority
            and r.job = i.job and r.version = i.version
            and (i.event <> 'expired' or r.expires_at <= t)
        returning i.n, r.queue, r.type, r.priority, r.version, r.attempt, r.retry, r.size, r.enqueued,
            r.expires_at, r.spec
    ), from_lease as (
        update hivelog.leases l
        set version = l.version + 1,
            cancelling = case when i.event = 'cancel_requested' then t else l.cancelling end
        from i
        where i.source = 'lease' and l.job between i.job and i.job and l.token = i.token
            and (i.event <> 'cancel_requested' or l.cancelling is null)
        returning i.n, l.queue, l.type, l.priority, l.version - 1 as version, l.attempt, l.retry, l.size,
            l.enqueued, l.expires_at, null::jsonb as spec
    ), from_ended as (
        select e.n, e.queue, e.type, e.priority, e.version, e.attempt, e.retry, e.size, e.enqueued,
            e.expires_at, e.spec
        from (
            select i.*, row_number() over (partition by i.job order by i.n) as turn
            from i where i.source = 'ended'
        ) e
        -- The version alone would do, were it not for logs that lost their tail: there a job can stand at
        -- the same version and be alive.
        where e.turn = 1
            and (e.target = 'none' or exists (select from hivelog.queues x where x.id = e.queue and not x.deleted))
            and (
            select v.version = e.version and (
                v.type in ('completed', 'failed', 'cancelled', 'expired', 'payload_erased')
                or v.type = 'lost' and v.data ->> 'to' in ('failed', 'cancelled'))
            from hivelog.events v where v.stream = e.job order by v.version desc limit 1
        )
    ), gone as (
        select * from from_pending union all select * from from_ready
        union all select * from from_lease union all select * from from_ended
    ), moved as materialized (
        select g.*, h + row_number() over (order by g.n) as pos, i.job, i.event, i.actor, i.source, i.target,
            coalesce(i.new_priority, g.priority) as next_priority, i.new_due_at,
            coalesce(i.retry, g.retry) as next_retry, i.data, i.slot, decode(i.body, 'base64') as body,
            decode(i.digest, 'base64') as digest, i.body_size
        from gone g join i on i.n = g.n
    ), waiting as (
        insert into hivelog.pending (due_at, job, queue, type, priority, version, attempt, retry, size,
            enqueued, expires_at, spec)
        select m.new_due_at, m.job, m.queue, m.type, m.next_priority, m.version + 1, m.attempt,
            m.next_retry, m.size, m.enqueued, m.expires_at, m.spec
        from moved m where m.target = 'pending'
    ), able as (
        insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry, size,
            expires_at, spec)
        select m.job, m.enqueued, m.queue, m.next_priority, m.type, m.version + 1, m.attempt,
            m.next_retry, m.size, m.expires_at, m.spec
        from moved m where m.target = 'ready'
    ), written as (
        insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size, queue,
            attempt, body_digest, data)
        select m.pos, t, m.job, m.version + 1, m.event, m.actor, m.body_size, m.queue,
            nullif(m.attempt, 0), m.digest, m.data
        from moved m
    ), kept as (
        -- A retry with another payload keeps the one that ran before, in slot 5.
        insert into hivelog.vault (job, slot, token, body)
        select v.job, 5, m.pos, v.body from moved m
        join hivelog.vault v on v.job = m.job and v.slot = 0 and v.token = 0
        where m.event = 'requeued' and m.slot = 0
    ), replaced as (
        update hivelog.vault v set body = m.body from moved m
        where m.event = 'requeued' and m.slot = 0 and v.job = m.job and v.slot = 0 and v.token = 0
    ), told as (
        insert into hivelog.vault (job, slot, token, body)
        select m.job, m.slot, m.pos, m.body from moved m where m.slot > 0 and m.body is not null
    ), erased as (
        delete from hivelog.vault v using moved m where m.event = 'payload_erased' and v.job = m.job
    ), depth as (
        select m.queue,
            count(*) filter (where m.target = 'pending')::integer
                - count(*) filter (where m.source = 'pending')::integer as pending,
            count(*) filter (where m.target = 'ready')::integer
                - count(*) filter (where m.source = 'ready')::integer as ready
        from moved m group by m.queue
    )
    select r.n, r.code, (select count(*)::integer from moved), d.q, d.a, d.b, d.c
    from (
        select array_agg(i.n::integer) as n, array_agg('conflict'::text) as code
        from i where i.n not in (select m.n from moved m)
    ) r, (
        select array_agg(x.queue) as q, array_agg(x.pending) as a, array_agg(x.ready) as b,
            array_agg(0) as c
        from depth x
    ) d
$$;
