-- Takes back what would let the application go round the append. After hivelog_app.sql, at every run.
-- A SECURITY DEFINER function acts with the owner's rights, so only the application may call it;
-- hivelog.enqueue alone is for everybody who may use the schema.
do $$
declare
    guarded constant text := '^(events|batches|void_batches|queue_marks|pending|ready|leases|vault|streams|identity|queues'
        '|job_types|actors|keks|config|seals|seal_keys|retention|migrations|replaced_scripts)(_|$)';
    name text;
begin
    for name in
        select p.oid::regprocedure::text from pg_proc p
        where p.pronamespace = 'hivelog'::regnamespace and p.prosecdef and p.proname <> 'enqueue'
    loop
        execute format('revoke execute on function %s from public', name);
    end loop;
    if exists (select from pg_roles where rolname = 'hivelog_app') then
        for name in
            select c.relname from pg_class c
            where c.relnamespace = 'hivelog'::regnamespace and c.relkind in ('r', 'p') and c.relname ~ guarded
        loop
            execute format('revoke insert, update, delete, truncate on hivelog.%I from hivelog_app', name);
        end loop;
        -- Bodies too big to be written under the lock go first; a body that is there is never changed.
        grant insert on hivelog.vault to hivelog_app;
    end if;
end $$;
