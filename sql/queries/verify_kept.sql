-- Events that were carried across the edge of retention, in order, with their digests as in verify_digests.sql and
-- what the seal that covers each kept of it: (position, digest, two bytes of the digest that was sealed or null).
-- Parameters: after, edge, limit.
select e.position, pg_catalog.sha256('\x00'::bytea || pg_catalog.record_send(row(
    e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
    e.schema, e.body_digest, e.correlation, e.data))),
    (select substring(s.prints from (2 * (e.position - s.first) + 1)::integer for 2)
        from hivelog.seals s where s.position >= e.position order by s.position limit 1)
from hivelog.events e where e.position > %(after)s and e.position <= %(edge)s
order by e.position limit %(limit)s
