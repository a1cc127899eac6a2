-- What keeps old row versions alive: transactions older than in_seconds, and what outlives sessions.
-- Dead rows behind them make the live tables slow to read. `seconds` is NULL where the server does not tell.
-- With the owner's rights, which are more often enough to see other users' sessions.
create or replace function hivelog.old_snapshots(in_seconds double precision)
returns table (what text, name text, seconds double precision)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select 'transaction', coalesce(nullif(a.application_name, ''), a.usename::text, '?')
            || ' (pid ' || a.pid || ', ' || coalesce(a.state, '?') || ')',
        extract(epoch from clock_timestamp() - a.xact_start)::float8
    from pg_stat_activity a
    where a.xact_start < clock_timestamp() - make_interval(secs => in_seconds)
        and a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
    union all
    select 'prepared transaction', p.gid, extract(epoch from clock_timestamp() - p.prepared)::float8
    from pg_prepared_xacts p
    where p.database = current_database()
        and p.prepared < clock_timestamp() - make_interval(secs => in_seconds)
    union all
    select 'replication slot', s.slot_name::text, null
    from pg_replication_slots s where not s.active and (s.xmin is not null or s.catalog_xmin is not null)
    order by 3 desc nulls last
    limit 20
$$;
