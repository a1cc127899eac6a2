-- Takes the partitions up to the edge off the log and puts what was carried in their place, in one transaction of
-- some milliseconds: readers see all or none of it. Answers how many events are gone. The tables live on as
-- hivelog.events_gone_*, until what hangs on them was swept away.
-- Believes nobody: it looks itself whether all is old enough, sealed, folded, and no live job's. Raises HL020.
-- Gives up after 200 ms where readers are in the way (55P03).
create or replace function hivelog.retention_swap(in_edge bigint, cutoff timestamptz, after bigint, in_archive text)
returns bigint
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
set client_min_messages = error
as $$
declare
    former constant bigint := coalesce((select max(r.edge) from hivelog.retention r), 0);
    at_edge constant timestamptz := (select e.recorded_at from hivelog.events e where e.position = in_edge);
    why text; seen bigint; kept bigint; p record;
begin
    select c.looked_to into seen from hivelog.retention_catch_up(in_edge, after) c;
    select count(*) into kept from hivelog.events_kept_next;
    why := hivelog.retention_refusal(in_edge, cutoff);
    if why is not null then
        raise exception 'retention up to %: %', in_edge, why using errcode = 'HL020';
    end if;
    perform pg_advisory_xact_lock(hivelog.partition_lock());
    perform pg_advisory_xact_lock(hivelog.append_lock());
    select kept + c.added into kept from hivelog.retention_catch_up(in_edge, seen) c;
    for p in select x.* from hivelog.events_partitions() x where x.high <= in_edge + 1 loop
        execute format('alter table hivelog.events detach partition hivelog.%I', p.name);
        execute format('alter table hivelog.%I rename to %I', p.name,
            case when p.low is null then 'events_gone_kept_' || former else replace(p.name, 'events_', 'events_gone_') end);
    end loop;
    alter table hivelog.events_kept_next rename to events_kept;
    execute format('alter table hivelog.events attach partition hivelog.events_kept for values from (minvalue) to (%s)',
        in_edge + 1);
    alter table hivelog.events_kept drop constraint events_kept_range;
    insert into hivelog.retention (edge, sealed_edge, edge_at, dropped, carried, archive, done_at)
    values (in_edge, coalesce((select max(s.position) from hivelog.seals s where s.position <= in_edge), 0),
        at_edge, in_edge - former, kept, in_archive, hivelog.now());
    return in_edge - former;
end $$;
