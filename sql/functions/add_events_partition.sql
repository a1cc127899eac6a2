-- Makes the next partition of hivelog.events, for low <= position < high, by itself, complete with indexes, trigger
-- and a CHECK that spares the attach its scan, then attaches it. Called by those that hold the lock of partitions.
create or replace function hivelog.add_events_partition(low bigint, high bigint) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    name text;
begin
    select 'events_' || lpad((max(substring(c.relname from '^events_([0-9]+)$')::bigint) + 1)::text, 6, '0') into name
    from pg_class c where c.relnamespace = 'hivelog'::regnamespace and c.relname ~ '^events_[0-9]+$';
    name := coalesce(name, 'events_000000');
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
