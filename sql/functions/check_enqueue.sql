-- Raises what is wrong with an enqueue, with a hint at what to do; called by hivelog.enqueue.
-- system: the configuration (max_message_size, encryption, allow_plaintext_outbox).
create or replace function hivelog.check_enqueue(
    in_queue text, in_type text, payload jsonb, options jsonb, system jsonb
) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    longest constant integer := coalesce((system ->> 'max_message_size')::integer, 1048576);
    size constant integer := octet_length(payload::text);
    wrong record;
begin
    if (system ->> 'encryption')::boolean and not coalesce((system ->> 'allow_plaintext_outbox')::boolean, false)
    then
        raise exception 'encryption: payloads are encrypted, and a job enqueued by SQL waits in plain text'
            using errcode = 'HL013', hint = 'Enqueue over HTTP or with the Python client, or run `hivelog config '
                'allow_plaintext_outbox=true` and accept plain text in the outbox and in WAL.';
    end if;
    if not exists (select from hivelog.queues q where q.name = in_queue and not q.deleted) then
        raise exception 'unknown_queue: there is no queue %', coalesce(quote_literal(in_queue), 'NULL')
            using errcode = 'HL010', hint = coalesce('Queues: ' || (
                select string_agg(q.name, ', ' order by q.name) from hivelog.queues q where not q.deleted),
                'There is no queue yet.');
    end if;
    if in_type is null or in_type !~ '^[A-Za-z0-9_.:-]{1,100}$' then
        raise exception 'invalid_field: type must match ^[A-Za-z0-9_.:-]{1,100}$'
            using errcode = 'HL011', hint = 'Name the job type as its handler does.';
    end if;
    if payload is null then
        raise exception 'invalid_field: payload must not be NULL'
            using errcode = 'HL011', hint = 'A job without data has the payload ''{}''.';
    end if;
    if size > longest then
        raise exception 'too_large: the payload has % bytes as JSON, at most % are allowed', size, longest
            using errcode = 'HL012',
                hint = 'Store it elsewhere and enqueue a reference, or raise max_message_size.';
    end if;
    if jsonb_typeof(options) is distinct from 'object' then
        raise exception 'invalid_field: options must be an object'
            using errcode = 'HL011', hint = 'For example ''{"priority": 200}''.';
    end if;
    for wrong in
        select o.key as name, hivelog.check_option(o.key, o.value) as reason from jsonb_each(options) o
    loop
        if wrong.reason is not null then
            raise exception 'invalid_field: % %', wrong.name, wrong.reason
                using errcode = 'HL011', hint = 'Options: priority, max_retries, retry_delay, retry_backoff, timeout, '
                    'scheduled_for, expires_at, source, correlation_id, tags, parent_id, idempotency_key.';
        end if;
    end loop;
    if (options ->> 'expires_at')::timestamptz <= (options ->> 'scheduled_for')::timestamptz then
        raise exception 'invalid_field: expires_at must be later than scheduled_for' using errcode = 'HL011';
    end if;
end $$;
