-- Writes down on which server the log's first epoch began; does nothing once that is known.
create or replace function hivelog.first_epoch() returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into hivelog.identity (epoch, system_identifier, timeline, started_at)
    select 1, i.system_identifier, i.timeline, hivelog.now() from hivelog.server_identity() i
    where not exists (select from hivelog.identity)
    on conflict do nothing
$$;
