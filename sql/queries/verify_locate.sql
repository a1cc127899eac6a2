-- Each event of first..last with its digest, as in verify_digests.sql: (position, digest). Parameters: first, last.
select e.position, pg_catalog.sha256('\x00'::bytea || pg_catalog.record_send(row(
    e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
    e.schema, e.body_digest, e.correlation, e.data)))
from hivelog.events e where e.position between %(first)s and %(last)s order by e.position
