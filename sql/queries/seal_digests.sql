-- The digests of the events in first..last, as events/canonical.py defines them.
-- Parameters: first, last.
-- Answer: one row: how many, their digests (32 bytes each) in the order of positions, the first position of a
-- new epoch among them (null: none), the numbers of actors and of queues that they name.
select count(*), coalesce(string_agg(x.digest, ''::bytea order by x.position), ''::bytea),
    min(x.position) filter (where x.type = 'epoch_started'),
    (select array_agg(a.actor) from (select distinct e.actor from hivelog.events e
        where e.position between %(first)s and %(last)s) a),
    (select array_agg(q.queue) from (select distinct e.queue from hivelog.events e
        where e.position between %(first)s and %(last)s and e.queue is not null) q)
from (
    select e.position, e.type, pg_catalog.sha256('\x00'::bytea || pg_catalog.record_send(row(
        e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
        e.schema, e.body_digest, e.correlation, e.data))) as digest
    from hivelog.events e where e.position between %(first)s and %(last)s
) x
