-- The enqueues of a batch in their general form: several queues, some for later, many specs, some refused
-- (`refused`: their ordinals). Called by hivelog.append under the lock; h is the position before the first.
-- Answers the changes of depth by queue (pending, ready, running), and how many were accepted.
create or replace function hivelog.append_enqueues(
    n_job uuid[], n_queue smallint[], n_type integer[], n_priority smallint[], n_actor integer[],
    n_due timestamptz[], n_expires timestamptz[], n_correlation text[], n_spec jsonb[],
    n_spec_of smallint[], n_size integer[], n_digest bytea[], refused integer[], h bigint, t timestamptz,
    out q smallint[], out a integer[], out b integer[], out c integer[], out k integer
) language plpgsql volatile as $$
#variable_conflict use_column
begin
    with i as materialized (
        -- Ordinals are positions where nothing was refused: no window, no sort.
        select n_job[n] as job, n_queue[n] as queue, n_type[n] as type, n_priority[n] as priority,
            n_actor[n] as actor, n_due[n] as due, n_expires[n] as expires, n_correlation[n] as correlation,
            n_spec[coalesce(n_spec_of[n], n)] as spec, n_size[n] as size, n_digest[n] as digest,
            h + n - case when refused is null then 0
                else (select count(*) from unnest(refused) x where x < n) end as pos
        from generate_series(1, cardinality(n_job)) n
        where refused is null or n <> all (refused)
    ), waiting as (
        insert into hivelog.pending (due_at, job, queue, type, priority, version, attempt, retry,
            size, enqueued, expires_at, spec)
        select i.due, i.job, i.queue, i.type, i.priority, 1, 0, 0, i.size, i.pos, i.expires, i.spec
        from i where i.due > t
    ), able as (
        insert into hivelog.ready (job, enqueued, queue, priority, type, version, attempt, retry,
            size, expires_at, spec)
        select i.job, i.pos, i.queue, i.priority, i.type, 1, 0, 0, i.size, i.expires, i.spec
        from i where i.due is null or i.due <= t
    ), written as (
        insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size,
            queue, attempt, body_digest, correlation, data)
        select i.pos, t, i.job, 1, 'enqueued', i.actor, i.size, i.queue, null, i.digest,
            i.correlation, i.spec
        from i
    ), depth as (
        select i.queue, count(*)::integer as total, count(*) filter (where i.due > t)::integer as later
        from i group by i.queue
    )
    select array_agg(d.queue), array_agg(d.later), array_agg(d.total - d.later),
        array_agg(0), coalesce(sum(d.total), 0)::integer
    into q, a, b, c, k from depth d;
end $$;
