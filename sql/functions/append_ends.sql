-- The ends of leases of a batch in their general form: with returns to `pending` or `ready`, with a cutoff, beside
-- other sections. A worker's usual turn is in hivelog.append itself, which calls this under the lock; h is the position
-- before the first. Answers the changes of depth by queue (pending, ready, running), how many were accepted, and
-- which were not, and why.
create or replace function hivelog.append_ends(
    e_job uuid[], e_token bigint[], e_event text[], e_actor integer[], e_due timestamptz[],
    e_retry smallint[], e_data jsonb[], e_size integer[], e_digest bytea[], e_slot smallint[],
    e_body bytea[], e_large boolean, e_cutoff timestamptz, h bigint, t timestamptz,
    out q smallint[], out a integer[], out b integer[], out c integer[], out k integer,
    out refused_n integer[], out refused_code text[]
) language plpgsql volatile as $$
#variable_conflict use_column
declare
    alive integer[]; gone_q smallint[]; gone_c integer[];
begin
    if e_cutoff is not null then
        -- Read once: a heartbeat that lands between two statements must not split one decision.
        select array_agg(x.id) into alive from hivelog.sessions x where x.last_heartbeat > e_cutoff;
    end if;
    if e_due is not null or 'released' = any (e_event) then
        -- Where their jobs go next, before the leases that tell it are gone.
        select * into q, a, b
        from hivelog.append_end_returns(e_job, e_token, e_event, e_due, e_retry, alive, t);
        c := array_fill(0, array[coalesce(cardinality(q), 0)]);
    end if;
    with gone as (
        delete from hivelog.leases l using generate_series(1, cardinality(e_job)) n
        where l.job between e_job[n] and e_job[n] and l.token = e_token[n]
            and hivelog.end_allowed(e_event[n], l.cancelling, l.session, alive)
        returning l.job, l.version, l.queue, l.attempt, coalesce(e_actor[n], l.session) as actor,
            e_event[n] as event, e_data[n] as data, e_size[n] as size, e_digest[n] as digest, l.token,
            e_slot[n] as slot, e_body[n] as body
    ), kept as (
        insert into hivelog.vault (job, slot, token, body)
        select g.job, g.slot, g.token, g.body from gone g where g.body is not null and not e_large
    ), written as (
        insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size,
            queue, attempt, body_digest, data)
        select h + row_number() over (), t, g.job, g.version + 1, g.event::hivelog.event_type,
            g.actor, g.size, g.queue, g.attempt, g.digest, g.data
        from gone g
        returning queue
    )
    select array_agg(d.queue), array_agg(-d.total), coalesce(sum(d.total), 0)::integer
    into gone_q, gone_c, k
    from (select w.queue, count(*)::integer as total from written w group by w.queue) d;
    if k < cardinality(e_job) then
        select array_agg(r.n), array_agg(r.code) into refused_n, refused_code
        from hivelog.append_end_refusals(e_job, e_token, e_slot, h, h + k) r;
    end if;
    q := q || gone_q; c := c || gone_c;
    a := a || array_fill(0, array[coalesce(cardinality(gone_q), 0)]);
    b := b || array_fill(0, array[coalesce(cardinality(gone_q), 0)]);
end $$;
