-- Events of queues, worker sessions and the system, with the live rows that follow from them; called by
-- hivelog.append under the lock, in order.
-- records: [{stream, event, expected (version, null = any), queue (id), actor, data, cutoff}]
-- Refusals: conflict (version moved), unchanged (already so), not_empty (queue has live jobs),
-- session_alive, not_found.
create or replace function hivelog.append_records(
    records jsonb, h bigint, t timestamptz, in out epoch integer,
    out refused_n integer[], out refused_code text[], out accepted integer
) language plpgsql volatile as $$
declare
    r record; seen integer; why text;
begin
    accepted := 0;
    for r in
        select * from rows from (jsonb_to_recordset(records) as (
            stream uuid, event hivelog.event_type, expected integer, queue smallint, actor integer,
            data jsonb, cutoff timestamptz
        )) with ordinality as x (stream, event, expected, queue, actor, data, cutoff, n)
    loop
        select s.version into seen from hivelog.streams s where s.stream = r.stream;
        why := case when r.expected is not null and r.expected <> coalesce(seen, 0) then 'conflict'
            else hivelog.append_record_effect(r.event, r.stream, r.queue, r.actor, r.data, r.cutoff, h + accepted + 1, t) end;
        if why is not null then
            refused_n := refused_n || r.n::integer;
            refused_code := refused_code || why;
            continue;
        end if;
        accepted := accepted + 1;
        insert into hivelog.streams (stream, version) values (r.stream, 1)
        on conflict (stream) do update set version = hivelog.streams.version + 1
        returning version into seen;
        insert into hivelog.events (position, recorded_at, stream, version, type, actor, queue, data)
        values (h + accepted, t, r.stream, seen, r.event, r.actor, r.queue, r.data);
        if r.event = 'epoch_started' then
            epoch := (r.data ->> 'epoch')::integer;
        end if;
    end loop;
end $$;
