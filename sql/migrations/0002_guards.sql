-- The log is append-only by force, and has partitions ahead of its head from the first day.

-- Functions are (re)placed after the migrations; triggers and column defaults need theirs now.
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$
    select date_trunc('milliseconds', clock_timestamp())
$$;
create or replace function hivelog.forbid_change() returns trigger language plpgsql as $$
begin
    raise exception '% on %.%: the log is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'HL003';
end $$;

-- PostgreSQL copies a row trigger of the parent to every partition, those of the future too, but not a
-- statement trigger: each partition is made with its own against TRUNCATE. ALWAYS: a session in
-- replication mode must not slip through either.
create trigger append_only before update or delete on hivelog.events
    for each row execute function hivelog.forbid_change();
alter table hivelog.events enable always trigger append_only;
create trigger append_only_truncate before truncate on hivelog.events
    for each statement execute function hivelog.forbid_change();
alter table hivelog.events enable always trigger append_only_truncate;
create trigger append_only_truncate before truncate on hivelog.events_default
    for each statement execute function hivelog.forbid_change();
alter table hivelog.events_default enable always trigger append_only_truncate;

-- The first partition and two ahead, as hivelog.add_events_partition makes all later ones.
do $$
declare
    size constant bigint := 5000000;
    name text;
begin
    for n in 0..2 loop
        name := 'events_' || lpad(n::text, 6, '0');
        execute format('create table hivelog.%I (like hivelog.events including all)', name);
        execute format('create unique index on hivelog.%I (stream, version)', name);
        execute format('create trigger append_only_truncate before truncate on hivelog.%I
            for each statement execute function hivelog.forbid_change()', name);
        execute format('alter table hivelog.%I enable always trigger append_only_truncate', name);
        execute format('alter table hivelog.events attach partition hivelog.%I for values from (%s) to (%s)',
            name, n * size, (n + 1) * size);
    end loop;
end $$;


-- One row an idempotency key, exactly, whatever the concurrency: the second transaction waits for the first.
create unique index outbox_idempotency on hivelog.outbox (caller, queue, (options ->> 'idempotency_key'))
    where options ? 'idempotency_key';
