-- The partitions of hivelog.events with a range: name and the positions low <= position < high. low is null for
-- events_kept, which has what retention carried; the default partition is left out.
create or replace function hivelog.events_partitions()
returns table (name text, low bigint, high bigint)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select c.relname::text, substring(b.range from 'FROM \(''?(-?[0-9]+)')::bigint,
        substring(b.range from 'TO \(''?(-?[0-9]+)')::bigint
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    cross join lateral (select pg_get_expr(c.relpartbound, c.oid) as range) b
    where i.inhparent = 'hivelog.events'::regclass and b.range <> 'DEFAULT'
$$;
