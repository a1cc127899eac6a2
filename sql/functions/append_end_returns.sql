-- Jobs whose lease ends but whose life goes on: retries wait in `pending`, released ones are ready again
-- (their attempt does not count). Called by hivelog.append before it deletes the leases, on the same guard.
-- Answers how many went where, by queue.
create or replace function hivelog.append_end_returns(
    e_job uuid[], e_token bigint[], e_event text[], e_due timestamptz[], e_retry smallint[],
    alive integer[], t timestamptz, out q smallint[], out a integer[], out b integer[]
) language sql volatile as $$
    with ended as materialized (
        select l.*, i.event, i.due, i.retry as next_retry, o.data as spec
        from unnest(e_job, e_token, e_event, e_due, e_retry) i (job, token, event, due, retry)
        join hivelog.leases l on l.job between i.job and i.job and l.token = i.token
            and hivelog.end_allowed(i.event, l.cancelling, l.session, alive)
        join hivelog.events o on o.position = l.enqueued
        where i.due is not null or i.event = 'released'
    ), waiting as (
        insert into hivelog.pending (due_at, job, queue, type, priority, version, attempt, retry, size,
            enqueued, expires_at, spec)
        select e.due, e.job, e.queue, e.type, e.priority, e.version + 1, e.attempt,
            coalesce(e.next_retry, e.retry), e.size, e.enqueued, e.expires_at, e.spec
        from ended e where e.due is not null
    ), able as (
        insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry, size,
            expires_at, spec)
        select e.job, e.enqueued, e.queue, e.priority, e.type, e.version + 1, e.attempt - 1, e.retry,
            e.size, e.expires_at, e.spec
        from ended e where e.event = 'released'
    )
    select array_agg(d.queue), array_agg(d.later), array_agg(d.again)
    from (
        select e.queue, count(e.due)::integer as later,
            count(*) filter (where e.event = 'released')::integer as again
        from ended e group by e.queue
    ) d
$$;
