-- Lets `select * from job_history` work as typed. Last in the path, so that no name of the database's
-- own is hidden, and only where nobody has set a path for this database yet.
do $$
begin
    if exists (select 1 from pg_namespace where nspname = 'hivelog_reports') and not exists (
        select 1 from pg_db_role_setting s, unnest(s.setconfig) as setting
        where s.setdatabase = (select oid from pg_database where datname = current_database())
            and s.setrole = 0 and setting like 'search_path=%'
    ) then
        execute format(
            'alter database %I set search_path = "$user", public, hivelog_reports', current_database()
        );
    end if;
exception when insufficient_privilege then
    null; -- not this user's database: names need their schema then
end $$;
