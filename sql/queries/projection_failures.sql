-- Folds one batch of the log into failures and moves its checkpoint.
-- Parameters: generation, after, upto as in projection_jobs; the table as {failures}.
-- Answer: one row, moved: false when another runner was first; then nothing was written.
--
-- Every attempt that went wrong counts, retried or not; an attempt without a written fingerprint is filed
-- under its cause (timeout, lost, payload, ...). A handler that asked for another try did not fail.
with moved as (
    update hivelog.checkpoints c set position = %(upto)s, updated_at = hivelog.now()
    where c.name = 'failures' and c.generation = %(generation)s and c.position = %(after)s
    returning 1
), failed as materialized (
    select e.position, e.stream, e.recorded_at, e.queue, e.type, e.data,
        coalesce(e.data ->> 'cause', case e.type when 'lost' then 'lost' else 'error' end) as cause
    from hivelog.events_between(%(after)s, %(upto)s, array['retry_scheduled', 'failed', 'expired',
        'lost']::hivelog.event_type[]) e
    where exists (select from moved)
), known as (
    select f.*, coalesce(f.data ->> 'fingerprint', f.cause) as fingerprint, y.id as job_type,
        date_trunc('hour', f.recorded_at, 'UTC') as hour
    from failed f
    -- The type is in the job's first event, whatever became of any table since.
    cross join lateral (
        select e.data ->> 'type' as name from hivelog.events e
        where e.stream = f.stream and e.version = 1 limit 1
    ) o
    join hivelog.job_types y on y.name = o.name
    where (f.type <> 'expired' or f.cause = 'timeout')
        and (f.cause <> 'retry' or f.data ? 'fingerprint')
), grouped as (
    select k.fingerprint, k.job_type, k.hour, count(*)::integer as count, min(k.recorded_at) as first_seen,
        max(k.recorded_at) as last_seen, array_agg(distinct k.queue order by k.queue) as queues,
        max(k.position) as sample
    from known k
    group by k.fingerprint, k.job_type, k.hour
), written as (
    insert into {failures} as f (fingerprint, type, hour, count, first_seen, last_seen, queues, sample_job,
        sample_position, cause, error_type, template)
    select g.fingerprint, g.job_type, g.hour, g.count, g.first_seen, g.last_seen, g.queues, k.stream, k.position,
        k.cause, k.data ->> 'error_type', k.data ->> 'template'
    from grouped g
    join known k on k.position = g.sample
    on conflict (fingerprint, type, hour) do update set count = f.count + excluded.count,
        last_seen = excluded.last_seen, sample_job = excluded.sample_job,
        sample_position = excluded.sample_position, cause = excluded.cause,
        error_type = excluded.error_type, template = excluded.template,
        queues = array(select distinct q from unnest(f.queues || excluded.queues) q order by q)
)
select exists (select from moved) as moved
