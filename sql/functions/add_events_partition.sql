-- Makes partition n of hivelog.events by itself, complete with indexes, trigger and a CHECK that spares the
-- attach its scan, then attaches it. Called by hivelog.ensure_partitions, which holds the lock.
create or replace function hivelog.add_events_partition(n bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    low constant bigint := n * hivelog.partition_size();
    high constant bigint := low + hivelog.partition_size();
    name constant text := 'events_' || lpad(n::text, 6, '0');
begin
    execute format('create table hivelog.%I (like hivelog.events including all)', name);
    execute format('create unique index on hivelog.%I (stream, version)', name);
    execute format('create trigger append_only_truncate before truncate on hivelog.%I
        for each statement execute function hivelog.forbid_change()', name);
    execute format('alter table hivelog.%I enable always trigger append_only_truncate', name);
    execute format('alter table hivelog.%I add constraint %I check (position >= %s and position < %s)',
        name, name || '_range', low, high);
    execute format('alter table hivelog.events attach partition hivelog.%I for values from (%s) to (%s)',
        name, low, high);
    -- The partition bound says the same from now on, and is not checked twice a row.
    execute format('alter table hivelog.%I drop constraint %I', name, name || '_range');
end $$;
