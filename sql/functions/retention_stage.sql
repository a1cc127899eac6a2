-- Copies what must outlive the edge into hivelog.events_kept_next, unchanged: all events up to the edge of
--   jobs that are live, or of which something happened after it,
--   queues, living worker sessions and those that ended after it,
--   the system's configuration, epochs, keys, tokens and unfinished actions,
-- and those under a seal that covers events beyond the edge, too, so that it still verifies, with all of their
-- streams. What no projection had folded yet is added by retention_catch_up, from the position answered here. May be repeated.
-- Reads everything up to the edge: not under anybody's time limit.
create or replace function hivelog.retention_stage(in_edge bigint, out looked_to bigint, out carried bigint)
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set client_min_messages = error
as $$
declare
    sealed constant bigint := coalesce((select max(s.position) from hivelog.seals s where s.position <= in_edge), 0);
    at_edge constant timestamptz := (select e.recorded_at from hivelog.events e where e.position = in_edge);
begin
    -- Before anything is read: later events are looked at again.
    select min(c.position) into looked_to
    from hivelog.projections p cross join lateral hivelog.checkpoint(p.name, p.generation) c where p.live;
    drop table if exists hivelog.events_kept_next;
    create table hivelog.events_kept_next (like hivelog.events including all);
    with carried as materialized (
        select l.job as stream from hivelog.pending l where l.enqueued <= in_edge
        union select l.job from hivelog.ready l where l.enqueued <= in_edge
        union select l.job from hivelog.leases l where l.enqueued <= in_edge
        union select j.id from hivelog.jobs j where j.enqueued <= in_edge
            and (j.position > in_edge or j.status in ('pending', 'queued', 'processing'))
        union select e.stream from hivelog.events e
            where e.position > sealed and e.position <= in_edge and e.stream <> hivelog.system_stream()
        union select q.stream from hivelog.queues q
        union select s.session from hivelog.sessions s
        union select w.session from hivelog.workers w
            where w.started_at <= at_edge and (w.ended_at is null or w.ended_at > at_edge)
    )
    insert into hivelog.events_kept_next
    select e.* from hivelog.events e join carried c on c.stream = e.stream where e.position <= in_edge;

    insert into hivelog.events_kept_next
    select e.* from hivelog.events e where e.position > sealed and e.position <= in_edge
    on conflict do nothing;

    insert into hivelog.events_kept_next
    select e.* from hivelog.events e where e.stream = hivelog.system_stream() and e.position <= in_edge and (
        e.type in ('config_changed', 'epoch_started', 'keys_rotated', 'token_created', 'token_revoked')
        or e.type = 'action_started' and e.data ->> 'action' <> 'retention' and not exists (
            select from hivelog.events f where f.stream = e.stream and f.type = 'action_finished'
                and f.position <= in_edge and f.data ->> 'action_id' = e.data ->> 'action_id'))
    on conflict do nothing;

    create unique index on hivelog.events_kept_next (stream, version);
    create trigger append_only_truncate before truncate on hivelog.events_kept_next
        for each statement execute function hivelog.forbid_change();
    alter table hivelog.events_kept_next enable always trigger append_only_truncate;
    -- Spares the attach its scan.
    execute format('alter table hivelog.events_kept_next add constraint events_kept_range check (position < %s)',
        in_edge + 1);
    analyze hivelog.events_kept_next;
    select count(*) into carried from hivelog.events_kept_next;
end $$;
