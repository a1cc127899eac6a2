-- Every queue as it was configured at a position, from its stream; those that did not exist yet are not there.
-- `position` is that of its last change, `scaled` the data of the last `scaled` event.
create or replace function hivelog.queues_at(at_position bigint)
returns table (id smallint, name text, stream uuid, paused boolean, max_workers integer, config jsonb,
    deleted boolean, "position" bigint, scaled jsonb)
language sql stable as $$
    select q.id, q.name, q.stream, coalesce(s.type = 'paused', false),
        coalesce(w.most, (c.data ->> 'max_workers')::integer),
        (c.data - 'deleted') || jsonb_strip_nulls(jsonb_build_object('max_workers', w.most)),
        coalesce((c.data ->> 'deleted')::boolean, false), greatest(c.position, s.position, w.position), n.data
    from hivelog.queues q
    cross join lateral (
        select e.version, e.position, e.data from hivelog.events e
        where e.stream = q.stream and e.position <= at_position and e.type = 'queue_configured'
        order by e.version desc limit 1
    ) c
    left join lateral (
        select e.position, e.type from hivelog.events e
        where e.stream = q.stream and e.position <= at_position and e.type in ('paused', 'resumed')
        order by e.version desc limit 1
    ) s on true
    left join lateral (
        select e.position, (e.data ->> 'max_workers')::integer as most from hivelog.events e
        where e.stream = q.stream and e.position <= at_position and e.type = 'scaled'
            and e.version > c.version and e.data ->> 'max_workers' is not null
        order by e.version desc limit 1
    ) w on true
    left join lateral (
        select e.data from hivelog.events e
        where e.stream = q.stream and e.position <= at_position and e.type = 'scaled'
        order by e.version desc limit 1
    ) n on true
$$;
