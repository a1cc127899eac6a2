-- Enqueues a job in the caller's own transaction: it exists if, and only if, that transaction commits.
--     select hivelog.enqueue('reports', 'report_generation', '{"user_id": "u1"}', '{"priority": 200}');
-- options: priority, max_retries, retry_delay, retry_backoff, timeout, scheduled_for, expires_at, source,
-- correlation_id, tags, parent_id, idempotency_key; what is not given comes from the queue.
-- Answers the job's id; with an idempotency_key that was used before, the first job's.
-- Raises HL010 unknown_queue, HL011 invalid_field, HL012 too_large, HL013 encryption (the outbox would hold
-- plain text), HL014 idempotency_mismatch; nothing is stored then.
create or replace function hivelog.enqueue(
    queue text, type text, payload jsonb, options jsonb default '{}'
) returns uuid
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_variable
declare
    job constant uuid := hivelog.new_job_id();
    recent constant uuid := hivelog.lowest_job_id(hivelog.now() - interval '100 milliseconds');
    given jsonb; known uuid;
begin
    perform hivelog.check_enqueue(queue, type, payload, options, c.config) from hivelog.config c;
    -- null means not given, but for timeout, where it means none at all.
    given := jsonb_strip_nulls(options)
        || case when options ? 'timeout' then jsonb_build_object('timeout', options -> 'timeout') else '{}' end;
    insert into hivelog.outbox (id, queue, type, payload, options, caller, created_at)
    values (job, queue, type, payload, given, session_user::text, hivelog.now())
    on conflict do nothing;
    if given ? 'idempotency_key' then
        known := hivelog.outbox_known(job, queue, given ->> 'idempotency_key',
            hivelog.outbox_fingerprint(type, payload, given));
        if known is not null then
            return known;
        end if;
    end if;
    -- NOTIFY takes a lock of the whole server at commit: only who finds nobody else knocks, and the relay looks
    -- again by itself. Bounded and in order, so that neither a backlog nor dead rows are walked through.
    perform from hivelog.outbox o where o.id > recent and o.id <> job order by o.id desc limit 1;
    if not found then
        perform pg_notify('hivelog_outbox', '');
    end if;
    return job;
end $$;
