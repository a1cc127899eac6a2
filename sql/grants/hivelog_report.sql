-- What a reporting user may do: read the stable views, nothing else.
do $$
begin
    if exists (select 1 from pg_namespace where nspname = 'hivelog_reports') then
        grant usage on schema hivelog_reports to hivelog_report;
        grant select on all tables in schema hivelog_reports to hivelog_report;
        grant execute on all functions in schema hivelog_reports to hivelog_report;
    end if;
end $$;
