-- Events that were carried across the edge of retention, in order, and what the seal that covers each kept of it:
-- (position, digest of format 1, two bytes of the digest that the seal's format has, and those that were sealed or null).
-- Digests as in seal_digests.sql. Parameters: after, edge, limit.
select e.position,
    pg_catalog.sha256('\x00'::bytea || pg_catalog.record_send(row(
        e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
        e.schema, e.body_digest, e.correlation, e.data))),
    substring(pg_catalog.sha256(case s.format when 1 then '\x00'::bytea || pg_catalog.record_send(row(
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
    end) for 2),
    substring(s.prints from (2 * (e.position - s.first) + 1)::integer for 2)
from hivelog.events e
left join lateral (
    select s.format, s.first, s.prints from hivelog.seals s where s.position >= e.position order by s.position limit 1
) s on true
where e.position > %(after)s and e.position <= %(edge)s
order by e.position limit %(limit)s
