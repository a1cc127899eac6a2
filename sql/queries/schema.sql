-- The schema as text, for the record that tests compare with what the migrations make. Only what reads
-- the same from PostgreSQL 15 to 18: no view bodies, no NOT NULL constraints (columns say it).
-- Parameters: none. Answer: kind, name, detail; ordered.
with spaces as (
    select oid, nspname from pg_namespace where nspname in ('hivelog', 'hivelog_reports')
), lines (kind, name, place, detail) as (
    select 'type', s.nspname || '.' || t.typname, 0,
        'enum ' || (select string_agg(e.enumlabel, ' ' order by e.enumsortorder)
            from pg_enum e where e.enumtypid = t.oid)
    from pg_type t join spaces s on s.oid = t.typnamespace where t.typtype = 'e'
    union all
    select case c.relkind when 'v' then 'view' when 'c' then 'type' else 'table' end,
        s.nspname || '.' || c.relname, a.attnum,
        a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
            || case when a.attnotnull then ' not null' else '' end
            || case when a.attidentity <> '' then ' identity' else '' end
            || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    from pg_class c join spaces s on s.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind in ('r', 'p', 'v', 'm', 'c') and not c.relispartition
    union all
    select 'partition', s.nspname || '.' || c.relname, 0, pg_get_expr(c.relpartbound, c.oid)
    from pg_class c join spaces s on s.oid = c.relnamespace
    where c.relispartition and c.relkind in ('r', 'p')
    union all
    select 'constraint', s.nspname || '.' || c.relname, 0,
        k.conname || ' ' || pg_get_constraintdef(k.oid)
    from pg_constraint k join pg_class c on c.oid = k.conrelid join spaces s on s.oid = c.relnamespace
    where k.contype <> 'n' and not c.relispartition
    union all
    select 'index', s.nspname || '.' || c.relname, 0, pg_get_indexdef(i.indexrelid)
    from pg_index i join pg_class c on c.oid = i.indrelid join spaces s on s.oid = c.relnamespace
    where not c.relispartition
        and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)
    union all
    select 'trigger', s.nspname || '.' || c.relname, 0, pg_get_triggerdef(t.oid)
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join spaces s on s.oid = c.relnamespace
    where not t.tgisinternal and not c.relispartition
    union all
    select 'function', s.nspname || '.' || p.proname || '('
            || pg_get_function_identity_arguments(p.oid) || ')', 0,
        'returns ' || coalesce(pg_get_function_result(p.oid), 'nothing')
            || ' language ' || l.lanname || ' volatility ' || p.provolatile::text
            || case when p.prosecdef then ' security definer' else '' end
            || coalesce(' set ' || array_to_string(p.proconfig, ', '), '')
    from pg_proc p join spaces s on s.oid = p.pronamespace join pg_language l on l.oid = p.prolang
)
select kind, name, detail from lines order by kind, name, place, detail
