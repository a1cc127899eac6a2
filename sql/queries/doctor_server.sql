-- What the server is and how it is set up, as this user sees it.
-- Answer: one row of version (server_version_num), name and value of everything that matters here.
select current_setting('server_version_num')::integer as version,
    current_setting('fsync') = 'on' as fsync,
    current_setting('full_page_writes') = 'on' as full_page_writes,
    current_setting('synchronous_commit') as synchronous_commit,
    current_setting('max_connections')::integer as max_connections,
    (select count(*) from pg_stat_activity where backend_type = 'client backend')::integer as connections,
    pg_is_in_recovery() as standby,
    current_user::text as user_name,
    (select r.rolsuper from pg_roles r where r.rolname = current_user) as superuser
