-- Why the events up to an edge may not go; null: they may. Nothing younger than a day ever goes.
create or replace function hivelog.retention_refusal(in_edge bigint, cutoff timestamptz) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select case
        when cutoff > hivelog.now() - interval '1 day' then 'the cutoff is less than a day ago'
        when not exists (select from hivelog.events_partitions() p where p.low is not null and p.high = in_edge + 1)
            then 'no partition ends there'
        when not exists (select from hivelog.events e where e.position = in_edge and e.recorded_at < cutoff)
            then 'it is not old enough'
        when in_edge >= (select max(b.position) from hivelog.batches b) then 'it is the end of the log'
        when in_edge > coalesce((select max(s.position) from hivelog.seals s), 0) then 'it is not sealed'
        when exists (select from hivelog.checkpoints c where c.position < in_edge)
            or exists (select from hivelog.search_state s where s.position < in_edge) then 'it is not folded'
        when exists (
            select from (
                select l.job, l.enqueued from hivelog.pending l where l.enqueued <= in_edge
                union all select l.job, l.enqueued from hivelog.ready l where l.enqueued <= in_edge
                union all select l.job, l.enqueued from hivelog.leases l where l.enqueued <= in_edge
            ) l
            where not exists (
                select from hivelog.events_kept_next k where k.position = l.enqueued and k.stream = l.job)
        ) then 'events of a live job were not carried'
        when not exists (
            select from hivelog.events e where e.stream = hivelog.system_stream() and e.type = 'action_started'
                and e.position > in_edge and e.position <= (select max(s.position) from hivelog.seals s)
                and e.data ->> 'action' = 'retention' and e.data ->> 'position' = in_edge::text
        ) then 'no sealed event announces it'
    end
$$;
