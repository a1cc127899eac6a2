-- The job that an idempotency key stands for already, in the log or in the outbox; NULL when it is the one just
-- put there. Takes the new row out again, or raises HL014 when the key stood for something else.
-- Called by hivelog.enqueue right after its insert, which waited for whoever was using the key.
create or replace function hivelog.outbox_known(job uuid, in_queue text, key text, fingerprint bytea) returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    known uuid; print bytea;
begin
    loop
        select i.jobs[1], i.fingerprint into known, print
        from hivelog.idempotency i where i.key = hivelog.outbox_key(session_user::text, in_queue, outbox_known.key);
        if found then
            delete from hivelog.outbox o where o.id = job;
        else
            select o.id, hivelog.outbox_fingerprint(o.type, o.payload, o.options) into known, print
            from hivelog.outbox o
            where o.caller = session_user::text and o.queue = in_queue
                and o.options ? 'idempotency_key' and o.options ->> 'idempotency_key' = outbox_known.key;
            -- Relayed between the two looks: the first one finds it now.
            continue when not found;
        end if;
        if print <> outbox_known.fingerprint then
            raise exception 'idempotency_mismatch: this idempotency_key was used for something else'
                using errcode = 'HL014', hint = 'A key names one job: use another key for another job.';
        end if;
        return nullif(known, job);
    end loop;
end $$;
