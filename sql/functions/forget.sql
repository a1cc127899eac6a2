-- Removes what is left of erased jobs outside the log: terms to search by, and the hash of the request that an
-- idempotency key keeps, which would confirm a guess (the key still answers, and matches no body any more).
-- Of ids that are no jobs (bulk actions) also what the vault has: a filter and a reason may quote payloads.
-- Nothing happens to a job that was not erased. After the append, never under its lock: it may take long.
create or replace function hivelog.forget(ids uuid[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    erased uuid[];
begin
    select array_agg(i) into erased from unnest(ids) i
    where coalesce((select e.type from hivelog.events e where e.stream = i order by e.version desc limit 1),
        'payload_erased') = 'payload_erased';
    delete from hivelog.vault v where v.job = any (erased);
    delete from hivelog.search s where s.job = any (erased);
    update hivelog.idempotency i set fingerprint = sha256(uuid_send(gen_random_uuid()))
    where i.jobs && erased;
end $$;
