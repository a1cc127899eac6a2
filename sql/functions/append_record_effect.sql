-- The live row behind one record: answers NULL when applied, else the refusal code.
create or replace function hivelog.append_record_effect(
    in_event hivelog.event_type, in_stream uuid, in_queue smallint, in_actor integer, data jsonb,
    cutoff timestamptz, pos bigint, t timestamptz
) returns text language plpgsql volatile as $$
begin
    case in_event
    when 'queue_configured' then
        if (data ->> 'deleted')::boolean and exists (
            select from (select * from hivelog.queue_marks m where m.queue = in_queue
                order by m.position desc limit 1) m
            where m.pending + m.ready + m.running > 0
        ) then
            return 'not_empty';
        end if;
        update hivelog.queues set config = data - 'deleted', position = pos,
            max_workers = (data ->> 'max_workers')::integer,
            deleted = coalesce((data ->> 'deleted')::boolean, false)
        where id = in_queue;
    when 'paused', 'resumed' then
        update hivelog.queues set paused = in_event = 'paused', position = pos
        where id = in_queue and paused <> (in_event = 'paused');
        if not found then return 'unchanged'; end if;
    when 'scaled' then
        update hivelog.queues set scaled = data, max_workers = coalesce((data ->> 'max_workers')::integer, max_workers),
            config = config || jsonb_strip_nulls(jsonb_build_object('max_workers', data -> 'max_workers')),
            position = case when data ? 'max_workers' then pos else position end
        where id = in_queue;
    when 'worker_started' then
        insert into hivelog.sessions (id, session, name, host, pid, queues, types, slots, started_at,
            last_heartbeat, heartbeat, dead_after, schemas)
        select in_actor, in_stream, x.name, x.host, x.pid, x.queues, x.types, x.slots, t, t,
            x.heartbeat, x.dead_after, x.schemas
        from jsonb_to_record(data) x (name text, host text, pid integer, queues text[], types text[],
            slots integer, heartbeat integer, dead_after integer, schemas jsonb);
    when 'worker_stopped', 'worker_lost' then
        delete from hivelog.sessions s
        where s.session = in_stream and (in_event = 'worker_stopped' or s.last_heartbeat <= cutoff);
        if not found then
            return case when exists (select from hivelog.sessions s where s.session = in_stream)
                then 'session_alive' else 'not_found' end;
        end if;
    when 'config_changed' then
        update hivelog.config set config = data;
    when 'epoch_started' then
        insert into hivelog.identity (epoch, system_identifier, timeline, started_at)
        values ((data ->> 'epoch')::integer, data ->> 'system_identifier',
            (data ->> 'timeline')::integer, t)
        on conflict do nothing;
        if not found then return 'unchanged'; end if;
    else
        null;  -- a plain fact: drained, session_opened, refused, tokens, actions, ...
    end case;
    return null;
end $$;
