-- The bytes of an event `e` whose SHA-256 is sealed, in format `s.format` (1 or 2), as events/canonical.py defines them. No
-- function of ours is called: whoever could alter the log could alter that too. Neighbours of four bytes go as one of
-- eight: a call to send a number and one to join it take longer than the arithmetic. A NULL that no column may hold has
-- the bytes of format 1, or the event would have none, and not be missed.
coalesce(case s.format when 1 then @event_record@
else pg_catalog.int8send(coalesce(e.queue::integer, -32769) * 4294967296
    + (coalesce(e.attempt::integer, -32769) & 4294967295))
|| pg_catalog.int2send(e.schema) || pg_catalog.uuid_send(e.stream) || pg_catalog.int8send(e.position)
|| pg_catalog.timestamptz_send(e.recorded_at) || pg_catalog.int8send(e.version * 4294967296 + (e.actor & 4294967295))
|| case
    when e.type = 'started' and e.data is null and e.body_size is null and e.body_digest is null
        and e.correlation is null then '\x01'::bytea
    when e.type = 'completed' and e.data is null and e.body_size is not null and e.body_digest is not null
        and e.correlation is null then '\x02'::bytea || pg_catalog.int4send(e.body_size) || e.body_digest
    when e.type = 'enqueued' and e.body_size is not null and pg_catalog.octet_length(e.body_digest) = 32
        and e.correlation is null and e.data is not null
        then '\x03'::bytea || pg_catalog.int4send(e.body_size) || e.body_digest || pg_catalog.jsonb_send(e.data)
    else '\x00'::bytea || pg_catalog.record_send(row(
        e.type::text, e.body_size, e.body_digest, e.correlation, e.data)) end
end, @event_record@)
