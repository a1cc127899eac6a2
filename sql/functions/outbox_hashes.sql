-- The hashes by which the log knows an idempotency key of hivelog.enqueue (scope: caller and queue), and what
-- it stood for. Never the key itself.
create or replace function hivelog.outbox_key(caller text, queue text, key text) returns bytea
language sql immutable parallel safe as $$
    select sha256(convert_to(jsonb_build_array('sql', caller, queue, key)::text, 'UTF8'))
$$;
create or replace function hivelog.outbox_fingerprint(type text, payload jsonb, options jsonb) returns bytea
language sql immutable parallel safe as $$
    select sha256(convert_to(jsonb_build_array(type, payload, options)::text, 'UTF8'))
$$;
