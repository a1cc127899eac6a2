-- What the application may do: read everything, and write everything but the log and what only the
-- append may move. Those change through functions that run with the owner's rights.
do $$
declare
    protected constant text :=
        '^(events|batches|void_batches|streams|queue_marks|pending|ready|leases|seals|seal_keys|retention|migrations|replaced_scripts)(_|$)';
    name text;
begin
    grant usage on schema hivelog to hivelog_app;
    grant execute on all functions in schema hivelog to hivelog_app;
    grant usage, select on all sequences in schema hivelog to hivelog_app;
    for name in
        select c.relname from pg_class c
        where c.relnamespace = 'hivelog'::regnamespace and c.relkind in ('r', 'p')
    loop
        execute format('grant select on hivelog.%I to hivelog_app', name);
        if name ~ protected then
            execute format('revoke insert, update, delete, truncate on hivelog.%I from hivelog_app', name);
        else
            execute format('grant insert, update, delete on hivelog.%I to hivelog_app', name);
        end if;
    end loop;
    if exists (select 1 from pg_namespace where nspname = 'hivelog_reports') then
        grant usage on schema hivelog_reports to hivelog_app;
        grant select on all tables in schema hivelog_reports to hivelog_app;
        grant execute on all functions in schema hivelog_reports to hivelog_app;
    end if;
end $$;
