-- The log's only writer. One call = one batch = one transaction.
--
-- Sections, numbered in this order: enqueues (n_*), ends of leases (e_*), moves of other live or
-- finished jobs (moves), records on streams that are no jobs (records), starts (s_*; `picks` lets
-- the database choose them). Hot sections are parallel arrays, a NULL array = all NULL; rare ones
-- are jsonb arrays of objects. Few specs that many jobs share come once, and n_spec_of says whose is which.
--
-- Answers one row of columns: head (the log's last position now), first (of this batch), recorded_at;
-- refused_* (section n e m r s, ordinal from 1, code; an idempotent replay names its job); t_* the jobs
-- started, with all their worker needs (one t_spec: they share it): t_n is the ordinal in s_* (with picks behind the named ones, then
-- p_* is s_* with them), and their tokens, the positions of `started`, are the last of the batch, in this
-- order; m_* exact depths of the touched queues. Whatever is not refused was accepted, and its position
-- follows from the order above.
--
-- Raises (the batch is not written): HL001 not one autocommitted READ COMMITTED statement,
-- HL002 other epoch, HL003 its process was told that it is not in the log (find_batch).
create or replace function hivelog.append(
    in_batch uuid, in_epoch integer,
    n_job uuid[] default null, n_queue smallint[] default null, n_type integer[] default null,
    n_priority smallint[] default null, n_actor integer[] default null, n_due timestamptz[] default null,
    n_expires timestamptz[] default null, n_correlation text[] default null, n_spec jsonb[] default null,
    n_spec_of smallint[] default null, n_size integer[] default null, n_digest bytea[] default null,
    n_salt bytea[] default null, n_kek smallint[] default null, n_wrapped bytea[] default null,
    n_body bytea[] default null,
    keys jsonb default null, n_outbox boolean default null, e_job uuid[] default null,
    e_token bigint[] default null, e_event text[] default null, e_actor integer[] default null,
    e_due timestamptz[] default null, e_retry smallint[] default null, e_data jsonb[] default null,
    e_size integer[] default null, e_digest bytea[] default null, e_slot smallint[] default null,
    e_body bytea[] default null, e_large boolean default null, e_cutoff timestamptz default null,
    moves jsonb default null, records jsonb default null, s_session integer[] default null,
    s_queue smallint[] default null, s_type integer[] default null, s_priority smallint[] default null,
    s_job uuid[] default null, picks jsonb default null, s_bytes bigint default null,
    out head bigint, out first bigint, out recorded_at timestamptz,
    out refused_section text[], out refused_n integer[], out refused_code text[], out refused_job uuid[],
    out t_n integer[], out t_attempt smallint[], out t_retry smallint[], out t_spec jsonb[],
    out t_kek smallint[], out t_salt bytea[], out t_wrapped bytea[], out t_body bytea[],
    out p_session integer[], out p_queue smallint[], out p_priority smallint[], out p_job uuid[],
    out m_queue smallint[], out m_pending integer[], out m_ready integer[], out m_running integer[]
) language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    h bigint; h0 bigint; t timestamptz; live_epoch integer; k integer := 0;
    rn integer[]; rcode text[]; rjob uuid[];
    -- What a small batch costs is to begin: each node of a plan, each column that passes one, each expression and each
    -- array that is set here. So the two usual kinds, new jobs and a worker's turn, have statements of their own
    -- and return at once; whatever else there is goes section by section, and its changes of depth are gathered,
    -- by queue, and written as marks at the end. NULL, not '{}': to set an array costs more than a row.
    d_queue smallint[]; d_pending integer[]; d_ready integer[]; d_running integer[];
    q smallint[]; a integer[]; b integer[]; c integer[];
    named constant integer := coalesce(cardinality(s_job), 0);
    biggest integer := 0; ended integer := 0;
    -- Nothing beside the sections that every job passes through; and of those, a worker's usual turn.
    usual constant boolean := moves is null and records is null and picks is null; turn boolean;
    -- The queue that most batches are all about: does it exist, is it open and without a limit, its last mark.
    main_queue constant smallint := coalesce(s_queue[1], n_queue[1]); main_known boolean; main_open boolean; void boolean;
    main_pending integer; main_ready integer; main_running integer; main_largest integer;
begin
    -- A transaction id at this point means that the caller's transaction has written already.
    if pg_current_xact_id_if_assigned() is not null
        or current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'hivelog.append must be one autocommitted READ COMMITTED statement'
            using errcode = 'HL001';
    end if;

    -- Bodies first: the slow part needs no lock, and rolls back with the rest. Here and below elements are taken by
    -- their numbers: PL/pgSQL keeps arrays expanded, and `unnest` costs a store of rows for each of them.
    if n_body is not null then
        insert into hivelog.vault (job, slot, kek, salt, wrapped, body)
        select n_job[n], 0, n_kek[n], n_salt[n], n_wrapped[n], n_body[n]
        from generate_series(1, cardinality(n_job)) n;
    end if;
    if e_large then
        insert into hivelog.vault (job, slot, token, body)
        -- Only for leases held now: a repeated settle finds its lease gone and writes nothing.
        select u.job, u.slot, u.token, u.body
        from unnest(e_job, e_slot, e_token, e_body) u (job, slot, token, body)
        join hivelog.leases l on l.job between u.job and u.job and l.token = u.token
        where u.body is not null;
    end if;

    -- An expression, not a query: to start the executor costs more than the lock.
    if pg_advisory_xact_lock(hivelog.append_lock()) is null then null; end if;
    select b.position, greatest(b.recorded_at, hivelog.now()), b.epoch, not x.deleted,
        not x.paused and x.max_workers is null,
        exists (select from hivelog.void_batches v where v.batch_id = in_batch),
        m.pending, m.ready, m.running, m.largest
    into h, t, live_epoch, main_known, main_open, void, main_pending, main_ready, main_running, main_largest
    from (select * from hivelog.batches order by position desc limit 1) b
    left join hivelog.queues x on x.id = main_queue
    left join lateral (
        select * from hivelog.queue_marks m where m.queue = x.id order by m.position desc limit 1
    ) m on true;
    h0 := h;
    if live_epoch <> in_epoch and not coalesce(records @> '[{"event": "epoch_started"}]', false) then
        raise exception 'epoch % is over, the log is in epoch %', in_epoch, live_epoch
            using errcode = 'HL002';
    end if;
    if void then
        raise exception 'batch % comes too late', in_batch using errcode = 'HL003';
    end if;

    if n_job is not null then
        if keys is not null or (main_known and main_queue = all (n_queue)) is not true then
            select * into rn, rcode, rjob from hivelog.append_enqueue_guard(n_job, n_queue, keys);
        end if;
        if usual and main_pending is not null and rn is null and main_queue = all (n_queue)
            and n_due is null and n_spec_of is not null and e_job is null and s_job is null
            and n_outbox is not true then
            -- New jobs of one queue, all at once ready, none refused. Ordinals are positions.
            k := cardinality(n_job);
            head := h + k; first := h + 1; recorded_at := t;
            m_queue := array[main_queue]; m_pending := array[main_pending];
            m_ready := array[main_ready + k]; m_running := array[main_running];
            if main_largest < any (n_size) then
                select max(u) into main_largest from unnest(n_size) u;
            end if;
            with able as (
                insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry,
                    size, expires_at, spec)
                select n_job[n], h + n, main_queue, n_priority[n], n_type[n], 1, 0, 0, n_size[n], n_expires[n],
                    n_spec[n_spec_of[n]]
                from generate_series(1, k) n
            ), batch as (
                insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
                values (head, h + 1, t, live_epoch, in_batch)
            ), mark as (
                insert into hivelog.queue_marks (queue, position, recorded_at, pending, ready, running, largest)
                values (main_queue, head, t, main_pending, m_ready[1], main_running, main_largest)
            )
            insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size,
                queue, body_digest, correlation, data)
            select h + n, t, n_job[n], 1, 'enqueued', n_actor[n], n_size[n], main_queue, n_digest[n], n_correlation[n],
                n_spec[n_spec_of[n]]
            from generate_series(1, k) n;
            return;
        end if;
        if rn is not null then
            refused_section := array_fill('n'::text, array[cardinality(rn)]);
            refused_n := rn; refused_code := rcode; refused_job := rjob;
        end if;
        select x.q, x.a, x.b, x.c, x.k into q, a, b, c, k
        from hivelog.append_enqueues(n_job, n_queue, n_type, n_priority, n_actor, n_due, n_expires,
            n_correlation, n_spec, n_spec_of, n_size, n_digest, rn, h, t) x;
        d_queue := d_queue || q; d_pending := d_pending || a;
        d_ready := d_ready || b; d_running := d_running || c;
        select max(u) into biggest from unnest(n_size) u;
        h := h + k;
        if n_outbox then
            delete from hivelog.outbox o using unnest(n_job) with ordinality u (job, n)
            where o.id = u.job and (rn is null or u.n <> all (rn));
        end if;
    end if;

    -- A worker's usual turn: its starts are of one session and one open queue without a limit, and no payload
    -- could break the byte budget.
    turn := coalesce(usual and n_job is null and (e_job is not null or s_job is not null)
        and e_due is null and e_cutoff is null and ('released' = any (e_event)) is not true
        and (s_job is null or main_open and main_queue = all (s_queue) and s_session[1] = all (s_session)
            and main_largest * cardinality(s_job)::bigint <= s_bytes), false);
    -- Its ends, then its starts by id, a statement each: a job alone has only one. Here and in the functions below
    -- `between` and `any (array[..])` stand where `=` would do: by `=` PostgreSQL may join with all of a live table
    -- too, and beside an old snapshot, where it is mostly dead rows, it takes that for cheap. This it can only look up.
    if turn and e_job is not null then
        with gone as (
            delete from hivelog.leases l using generate_series(1, cardinality(e_job)) n
            where l.job between e_job[n] and e_job[n] and l.token = e_token[n]
                and hivelog.end_allowed(e_event[n], l.cancelling, l.session, null)
            returning n, l.job, l.version, l.queue, l.attempt, l.session
        ), kept as (
            insert into hivelog.vault (job, slot, token, body)
            select g.job, e_slot[g.n], e_token[g.n], e_body[g.n] from gone g
            where e_body[g.n] is not null and not e_large
        ), written as (
            insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size,
                queue, attempt, body_digest, data)
            select h + row_number() over (), t, g.job, g.version + 1, e_event[g.n]::hivelog.event_type,
                coalesce(e_actor[g.n], g.session), e_size[g.n], g.queue, g.attempt, e_digest[g.n], e_data[g.n]
            from gone g
        )
        select array_agg(g.queue) into q from gone g;
        ended := coalesce(cardinality(q), 0);
    end if;
    if turn and s_job is not null then
        with taken as (
            -- None of them for a session that is over.
            delete from hivelog.ready r
            using generate_series(1, (select named from hivelog.sessions y where y.id = s_session[1])) n
            where r.queue = any (array[s_queue[n]]) and r.type = s_type[n] and r.priority = s_priority[n]
                and r.job = s_job[n] and (r.expires_at is null or r.expires_at > t)
            returning n, r.job, r.enqueued, r.type, r.priority, r.version, r.attempt, r.retry, r.size, r.expires_at,
                r.spec
        ), started as materialized (
            select h + ended + row_number() over () as pos, x.* from taken x
        ), leased as (
            insert into hivelog.leases (job, token, enqueued, started_at, deadline, session, type,
                version, queue, priority, attempt, retry, size, expires_at)
            select s.job, s.pos, s.enqueued, t,
                t + make_interval(secs => (s.spec ->> 'timeout')::integer),
                s_session[1], s.type, s.version + 1, main_queue, s.priority, s.attempt + 1, s.retry,
                s.size, s.expires_at
            from started s
        ), written as (
            insert into hivelog.events (position, recorded_at, stream, version, type, actor, queue, attempt)
            select s.pos, t, s.job, s.version + 1, 'started', s_session[1], main_queue, s.attempt + 1
            from started s
        )
        select array_agg(s.n), array_agg((s.attempt + 1)::smallint), array_agg(s.retry),
            array_agg(s.spec), array_agg(v.kek), array_agg(v.salt), array_agg(v.wrapped),
            array_agg(v.body)
        into t_n, t_attempt, t_retry, t_spec, t_kek, t_salt, t_wrapped, t_body
        from started s
        left join hivelog.vault v on v.job = s.job and v.slot = 0 and v.token = 0;
        k := coalesce(cardinality(t_n), 0);
        if k > 1 and t_spec[1] = all (t_spec) then
            t_spec := t_spec[1:1];  -- to write JSON out costs ten times as much as to compare it
        end if;
    end if;
    if turn then
        if ended < cardinality(e_job) then
            select array_agg('e'::text), array_agg(r.n), array_agg(r.code), array_agg(null::uuid)
            into refused_section, refused_n, refused_code, refused_job
            from hivelog.append_end_refusals(e_job, e_token, e_slot, h, h + ended) r;
        end if;
        if k < named then
            select refused_section || array_agg('s'::text), refused_n || array_agg(r.n),
                refused_code || array_agg(case when r.code = 'not_ready' or exists (
                    select from hivelog.sessions y where y.id = s_session[1]) then r.code else 'session_lost' end),
                refused_job || array_agg(null::uuid)
            into refused_section, refused_n, refused_code, refused_job
            from hivelog.append_start_refusals(s_queue, s_type, s_priority, s_job, t, h + ended, h + ended + k) r;
        end if;
        h := h + ended + k;
        if main_pending is not null and (ended = 0 or main_queue = all (q)) then
            head := h; first := h0 + 1; recorded_at := t;
            if h > h0 then
                m_queue := array[main_queue]; m_pending := array[main_pending];
                m_ready := array[main_ready - k]; m_running := array[main_running + k - ended];
                with batch as (
                    insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
                    values (h, h0 + 1, t, live_epoch, in_batch)
                )
                insert into hivelog.queue_marks (queue, position, recorded_at, pending, ready, running, largest)
                values (main_queue, h, t, main_pending, m_ready[1], m_running[1], main_largest);
            end if;
            return;
        end if;
        -- Ends of several queues, or only ends: nobody named their queue. Starts are of the main queue.
        select array_agg(d.queue), array_agg(0), array_agg(-d.started), array_agg(d.started - d.ended)
        into d_queue, d_pending, d_ready, d_running
        from (
            select u.queue, sum(u.ended)::integer as ended, sum(u.started)::integer as started
            from (select x as queue, 1 as ended, 0 as started from unnest(q) x
                union all select main_queue, 0, k where k > 0) u
            group by u.queue
        ) d;
    end if;

    if e_job is not null and not turn then
        select x.q, x.a, x.b, x.c, x.k, x.refused_n, x.refused_code into q, a, b, c, k, rn, rcode
        from hivelog.append_ends(e_job, e_token, e_event, e_actor, e_due, e_retry, e_data, e_size, e_digest,
            e_slot, e_body, e_large, e_cutoff, h, t) x;
        if rn is not null then
            refused_section := refused_section || array_fill('e'::text, array[cardinality(rn)]);
            refused_n := refused_n || rn; refused_code := refused_code || rcode;
            refused_job := refused_job || array_fill(null::uuid, array[cardinality(rn)]);
        end if;
        d_queue := d_queue || q; d_pending := d_pending || a;
        d_ready := d_ready || b; d_running := d_running || c;
        h := h + k;
    end if;

    if moves is not null then
        select r.refused_n, r.refused_code, r.accepted, r.q, r.a, r.b, r.c
        into rn, rcode, k, q, a, b, c
        from hivelog.append_moves(moves, h, t) r;
        if rn is not null then
            refused_section := refused_section || array_fill('m'::text, array[cardinality(rn)]);
            refused_n := refused_n || rn; refused_code := refused_code || rcode;
            refused_job := refused_job || array_fill(null::uuid, array[cardinality(rn)]);
        end if;
        if k > 0 then
            d_queue := d_queue || q; d_pending := d_pending || a;
            d_ready := d_ready || b; d_running := d_running || c;
            h := h + k;
        end if;
    end if;

    if records is not null then
        select r.refused_n, r.refused_code, r.accepted, r.epoch into rn, rcode, k, live_epoch
        from hivelog.append_records(records, h, t, live_epoch) r;
        if rn is not null then
            refused_section := refused_section || array_fill('r'::text, array[cardinality(rn)]);
            refused_n := refused_n || rn; refused_code := refused_code || rcode;
            refused_job := refused_job || array_fill(null::uuid, array[cardinality(rn)]);
        end if;
        h := h + k;
    end if;

    if picks is not null then
        -- Redis is away: nobody named ids, so choose them here, in key order, after the lock.
        select s_session || array_agg(p.session), s_queue || array_agg(p.queue),
            s_type || array_agg(p.type), s_priority || array_agg(p.priority), s_job || array_agg(p.job)
        into s_session, s_queue, s_type, s_priority, s_job
        from hivelog.append_picks(picks, t, d_queue, d_running) p;
        p_session := s_session; p_queue := s_queue; p_priority := s_priority; p_job := s_job;
    end if;

    if s_job is not null and not turn then
        select x.s_job, x.refused_n, x.refused_code into s_job, rn, rcode
        from hivelog.append_start_filter(s_session, s_queue, s_type, s_priority, s_job, s_bytes,
            named, d_queue, d_running, t) x;
        if rn is not null then
            refused_section := refused_section || array_fill('s'::text, array[cardinality(rn)]);
            refused_n := refused_n || rn; refused_code := refused_code || rcode;
            refused_job := refused_job || array_fill(null::uuid, array[cardinality(rn)]);
        end if;
        select x.t_n, x.t_attempt, x.t_retry, x.t_spec, x.t_kek, x.t_salt, x.t_wrapped, x.t_body,
            x.q, x.a, x.b, x.c, x.k
        into t_n, t_attempt, t_retry, t_spec, t_kek, t_salt, t_wrapped, t_body, q, a, b, c, k
        from hivelog.append_starts(s_session, s_queue, s_type, s_priority, s_job, h, t) x;
        d_queue := d_queue || q; d_pending := d_pending || a;
        d_ready := d_ready || b; d_running := d_running || c;
        h := h + k;
    end if;

    head := h; first := h0 + 1; recorded_at := t;
    if h = h0 then
        return;
    end if;
    insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
    values (h, h0 + 1, t, live_epoch, in_batch);
    with mark as (
        insert into hivelog.queue_marks (queue, position, recorded_at, pending, ready, running, largest)
        select d.queue, h, t, coalesce(m.pending, 0) + d.pending, coalesce(m.ready, 0) + d.ready,
            coalesce(m.running, 0) + d.running, greatest(m.largest, biggest)
        from (
            select u.queue, sum(u.pending)::integer as pending, sum(u.ready)::integer as ready,
                sum(u.running)::integer as running
            from unnest(d_queue, d_pending, d_ready, d_running) u (queue, pending, ready, running)
            group by u.queue
        ) d
        left join lateral (
            select m.* from hivelog.queue_marks m where m.queue = d.queue
            order by m.position desc limit 1
        ) m on true
        returning queue, pending, ready, running
    )
    select array_agg(m.queue), array_agg(m.pending), array_agg(m.ready), array_agg(m.running)
    into m_queue, m_pending, m_ready, m_running from mark m;
end $$;
