-- What concurrency could break of an enqueue: a queue deleted meanwhile, an idempotency key taken.
-- keys: [{key, fingerprint (hex), first, last (ordinals it covers), call, call_first, call_last,
-- expires_at}]; a call with one mismatch is refused whole, a replayed key names the first job.
-- Called by hivelog.append under the lock; records the accepted keys. NULLs when nothing is refused.
create or replace function hivelog.append_enqueue_guard(
    n_job uuid[], n_queue smallint[], keys jsonb,
    out refused_n integer[], out refused_code text[], out refused_job uuid[]
) language plpgsql volatile as $$
declare
    gone smallint[]; step record; k record; known uuid[];
begin
    select array_agg(w.queue) into gone
    from (select distinct queue from unnest(n_queue) u (queue)) w
    where not exists (select from hivelog.queues q where q.id = w.queue and not q.deleted);
    if gone is not null then
        select array_agg(u.n), array_agg('unknown_queue'::text), array_agg(null::uuid)
        into refused_n, refused_code, refused_job
        from unnest(n_queue) with ordinality u (queue, n) where u.queue = any (gone);
    end if;
    if keys is null and gone is null then
        return;
    end if;
    for step in
        select x.call, min(x.call_first) as low, max(x.call_last) as high,
            bool_or(i.fingerprint is not null and i.fingerprint <> decode(x.fingerprint, 'hex')) as mismatch
        from jsonb_to_recordset(coalesce(keys, '[]')) x (key text, fingerprint text, call integer,
            call_first integer, call_last integer)
        left join hivelog.idempotency i on i.key = decode(x.key, 'hex')
        group by x.call order by x.call
    loop
        -- Re-read: an earlier call of this very batch may have taken the key.
        if step.mismatch or exists (
            select from jsonb_to_recordset(keys) x (key text, fingerprint text, call integer)
            left join hivelog.idempotency i on i.key = decode(x.key, 'hex')
            where x.call = step.call and i.fingerprint <> decode(x.fingerprint, 'hex')
        ) then
            refused_n := refused_n || array(select generate_series(step.low, step.high));
            refused_code := refused_code
                || array_fill('idempotency_mismatch'::text, array[step.high - step.low + 1]);
            refused_job := refused_job || array_fill(null::uuid, array[step.high - step.low + 1]);
            continue;
        end if;
        for k in
            select x.* from jsonb_to_recordset(keys) x (key text, fingerprint text, first integer,
                last integer, call integer, expires_at timestamptz)
            where x.call = step.call order by x.first
        loop
            continue when n_queue[k.first:k.last] && gone;
            select i.jobs into known from hivelog.idempotency i where i.key = decode(k.key, 'hex');
            if known is null then
                insert into hivelog.idempotency (key, fingerprint, jobs, expires_at)
                values (decode(k.key, 'hex'), decode(k.fingerprint, 'hex'), n_job[k.first:k.last],
                    k.expires_at);
            else
                refused_n := refused_n || array(select generate_series(k.first, k.last));
                refused_code := refused_code || array_fill('replayed'::text, array[k.last - k.first + 1]);
                refused_job := refused_job || known;
            end if;
        end loop;
    end loop;
    -- The bodies went in before the lock; those of refused jobs leave with the refusal.
    delete from hivelog.vault v
    using unnest(refused_n) r (n)
    where v.job = n_job[r.n] and v.slot = 0 and v.token = 0;
end $$;
