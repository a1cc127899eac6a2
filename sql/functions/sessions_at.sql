-- The worker sessions that lived at a position, whose clock said at_time. Times decide, and where one is the
-- very millisecond of the position, the log does.
create or replace function hivelog.sessions_at(at_position bigint, at_time timestamptz)
returns table (id integer, session uuid, name text, host text, pid integer, queues text[], types text[],
    slots integer, started_at timestamptz)
language sql stable rows 100 as $$
    select w.id, w.session, w.name, w.host, w.pid, w.queues, w.types, w.slots, w.started_at from hivelog.workers w
    where w.started_at <= at_time and (w.ended_at is null or w.ended_at >= at_time)
        and (w.started_at < at_time or exists (
            select from hivelog.events e
            where e.stream = w.session and e.type = 'worker_started' and e.position <= at_position))
        and (w.ended_at is null or w.ended_at > at_time or not exists (
            select from hivelog.events e
            where e.stream = w.session and e.type in ('worker_stopped', 'worker_lost')
                and e.position <= at_position))
$$;
