-- Name -> number of a job type, an actor or a queue, minted on first use. Outside the append lock.
create or replace function hivelog.type_ids(names text[]) returns table (name text, id integer)
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into hivelog.job_types (name) select distinct u from unnest(names) u
    where not exists (select from hivelog.job_types t where t.name = u)
    on conflict do nothing;
    select t.name, t.id from hivelog.job_types t where t.name = any (names)
$$;
create or replace function hivelog.actor_id(in_name text) returns integer
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into hivelog.actors (name) select in_name
    where not exists (select from hivelog.actors a where a.name = in_name)
    on conflict do nothing;
    select a.id from hivelog.actors a where a.name = in_name
$$;
-- A queue row exists as `deleted` until its first queue_configured event.
create or replace function hivelog.queue_id(in_name text, in_stream uuid) returns smallint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into hivelog.queues (name, stream, deleted) select in_name, in_stream, true
    where not exists (select from hivelog.queues q where q.name = in_name)
    on conflict do nothing;
    select q.id from hivelog.queues q where q.name = in_name
$$;
create or replace function hivelog.kek_id(in_fingerprint text) returns smallint
language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    insert into hivelog.keks (fingerprint) select in_fingerprint
    where not exists (select from hivelog.keks k where k.fingerprint = in_fingerprint)
    on conflict do nothing;
    select k.id from hivelog.keks k where k.fingerprint = in_fingerprint
$$;
