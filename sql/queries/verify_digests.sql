-- The digests of the events in first..last as in seal_digests.sql, joined in the order of positions, and how many.
-- No function of ours is called: whoever could alter the log could alter that too.
-- Parameters: first, last.
select count(*), coalesce(string_agg(x.digest, ''::bytea order by x.position), ''::bytea)
from (
    select e.position, pg_catalog.sha256('\x00'::bytea || pg_catalog.record_send(row(
        e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
        e.schema, e.body_digest, e.correlation, e.data))) as digest
    from hivelog.events e where e.position between %(first)s and %(last)s
) x
