-- What a reporting user may do: read the stable views, nothing else.
do $$
begin
    if exists (select 1 from pg_namespace where nspname = 'hivelog_reports') then
        grant usage on schema hivelog_reports to hivelog_report;
        grant select on all tables in schema hivelog_reports to hivelog_report;
        grant execute on all functions in schema hivelog_reports to hivelog_report;
    end if;
end $$;
-- A report that was forgotten must not keep dead rows alive under the queue. Holds when this role logs in itself;
-- docs/reporting.md says how another user gets the same.
do $$
begin
    alter role hivelog_report set statement_timeout = '30s';
    alter role hivelog_report set lock_timeout = '2s';
    alter role hivelog_report set idle_in_transaction_session_timeout = '30s';
    alter role hivelog_report set default_transaction_read_only = on;
exception when insufficient_privilege then
    null; -- somebody else made the role, who may set them
end $$;
