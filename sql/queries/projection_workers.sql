-- Folds one batch of the log into workers and moves its checkpoint.
-- Parameters: generation, after, upto as in projection_jobs; the table as {workers}.
-- Answer: one row, moved: false when another runner was first; then nothing was written.
--
-- A session's number is the actor of what it does, so its ends of jobs count without their starts.
with moved as (
    update hivelog.checkpoints c set position = %(upto)s, updated_at = hivelog.now()
    where c.name = 'workers' and c.generation = %(generation)s and c.position = %(after)s
    returning 1
), batch as materialized (
    select e.position, e.stream, e.recorded_at, e.type, e.actor, e.data
    from hivelog.events_between(%(after)s, %(upto)s, array['completed', 'retry_scheduled', 'failed', 'expired',
        'worker_started', 'worker_stopped', 'worker_lost']::hivelog.event_type[]) e
    where exists (select from moved)
), begun as (
    select b.actor as id, b.stream, b.recorded_at, x.* from batch b
    cross join lateral jsonb_to_record(b.data)
        x (name text, host text, pid integer, queues text[], types text[], slots integer)
    where b.type = 'worker_started'
), work as (
    select b.actor as id, count(*) filter (where b.type = 'completed')::integer as completed,
        count(*) filter (where b.type <> 'completed')::integer as failed, max(b.position) as position
    from batch b
    where b.type not in ('worker_started', 'worker_stopped', 'worker_lost')
    group by b.actor
), gone as (
    -- The leader's hand may have written it: the stream names the session.
    select b.stream, b.recorded_at, b.position, substr(b.type::text, 8) as ended_by,
        b.data ->> 'reason' as reason
    from batch b where b.type in ('worker_stopped', 'worker_lost')
), added as (
    insert into {workers} (id, session, name, host, pid, queues, types, slots, started_at, ended_at, ended_by,
        reason, completed, failed)
    select b.id, b.stream, b.name, b.host, b.pid, b.queues, b.types, b.slots, b.recorded_at, g.recorded_at,
        g.ended_by, g.reason, coalesce(w.completed, 0), coalesce(w.failed, 0)
    from begun b
    left join gone g on g.stream = b.stream
    left join work w on w.id = b.id
), counted as (
    update {workers} t set completed = t.completed + coalesce(w.completed, 0),
        failed = t.failed + coalesce(w.failed, 0), ended_at = coalesce(t.ended_at, g.recorded_at),
        ended_by = coalesce(t.ended_by, g.ended_by), reason = coalesce(t.reason, g.reason)
    from (
        select w.id from work w union select x.id from gone g join {workers} x on x.session = g.stream
    ) touched
    left join work w on w.id = touched.id
    left join gone g on g.stream = (select x.session from {workers} x where x.id = touched.id)
    where t.id = touched.id
)
select exists (select from moved) as moved
