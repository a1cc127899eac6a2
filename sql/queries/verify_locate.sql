-- Each event of first..last with its digest, as in seal_digests.sql: (position, digest).
-- Parameters: first, last, format.
select e.position,
    pg_catalog.sha256(case %(format)s::integer when 1 then '\x00'::bytea || pg_catalog.record_send(row(
        e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
        e.schema, e.body_digest, e.correlation, e.data))
    else pg_catalog.int4send(coalesce(e.queue::integer, -32769))
    || pg_catalog.int4send(coalesce(e.attempt::integer, -32769)) || pg_catalog.int2send(e.schema)
    || pg_catalog.uuid_send(e.stream) || pg_catalog.int8send(e.position)
    || pg_catalog.timestamptz_send(e.recorded_at) || pg_catalog.int4send(e.version) || pg_catalog.int4send(e.actor)
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
    end)
from hivelog.events e where e.position between %(first)s and %(last)s order by e.position
