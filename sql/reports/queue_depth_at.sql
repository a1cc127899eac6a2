-- How many jobs waited for their time, were ready and ran in each queue at a time; exact to the append, or to
-- the second where old marks were thinned.
create or replace function hivelog_reports.queue_depth_at(at timestamptz)
returns table (queue text, pending integer, queued integer, processing integer)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select q.name, m.pending, m.ready, m.running
    from hivelog.queues q
    cross join lateral (
        select x.* from hivelog.queue_marks x
        where x.queue = q.id and x.position <= hivelog.position_at(at)
        order by x.position desc limit 1
    ) m
    order by q.name
$$;

comment on function hivelog_reports.queue_depth_at(timestamptz) is 'How many jobs were pending, queued and processing in each queue at a time, to the append; where old marks were thinned, to the second.';
