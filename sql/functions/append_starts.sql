-- The starts of a batch in their general form, after append_start_filter: several queues or sessions, or beside other
-- sections. A worker's usual turn is in hivelog.append itself, which calls this under the lock; h is the position
-- before the first. A NULL in s_job is one that was refused. Answers as hivelog.append does (t_*), the changes of
-- depth by queue (pending, ready, running), and how many started.
create or replace function hivelog.append_starts(
    s_session integer[], s_queue smallint[], s_type integer[], s_priority smallint[], s_job uuid[],
    h bigint, t timestamptz,
    out t_n integer[], out t_attempt smallint[], out t_retry smallint[], out t_spec jsonb[],
    out t_kek smallint[], out t_salt bytea[], out t_wrapped bytea[], out t_body bytea[],
    out q smallint[], out a integer[], out b integer[], out c integer[], out k integer
) language plpgsql volatile as $$
#variable_conflict use_column
begin
    with taken as (
        delete from hivelog.ready r using generate_series(1, cardinality(s_job)) n
        where r.queue = any (array[s_queue[n]]) and r.type = s_type[n] and r.priority = s_priority[n]
            and r.job = s_job[n] and (r.expires_at is null or r.expires_at > t)
        returning s_session[n] as session, n, r.*
    ), started as materialized (
        select h + row_number() over () as pos, x.* from taken x
    ), leased as (
        insert into hivelog.leases (job, token, enqueued, started_at, deadline, session, type,
            version, queue, priority, attempt, retry, size, expires_at)
        select s.job, s.pos, s.enqueued, t,
            t + make_interval(secs => (s.spec ->> 'timeout')::integer),
            s.session, s.type, s.version + 1, s.queue, s.priority, s.attempt + 1, s.retry,
            s.size, s.expires_at
        from started s
    ), written as (
        insert into hivelog.events (position, recorded_at, stream, version, type, actor, queue, attempt)
        select s.pos, t, s.job, s.version + 1, 'started', s.session, s.queue, s.attempt + 1
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
    select array_agg(x.queue), array_agg(0), array_agg(-x.total), array_agg(x.total) into q, a, b, c
    from (select s_queue[u] as queue, count(*)::integer as total from unnest(t_n) u group by 1) x;
end $$;
