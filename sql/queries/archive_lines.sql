-- Events in first..last as lines of JSON, as the archive has them: (how many, the lines, first and last recorded_at).
-- `data` is the very text of the database, so that an event's digest can be made from its line.
-- Parameters: first, last.
select count(*), coalesce(string_agg(row_to_json(x)::text || e'\n', '' order by x.position), ''),
    min(x.recorded_at), max(x.recorded_at)
from (
    select e.position, e.recorded_at, e.stream as job, e.version, e.type::text as type, q.name as queue, e.attempt,
        a.name as actor, e.correlation, e.body_size, encode(e.body_digest, 'hex') as body_digest, e.schema,
        e.queue as queue_number, e.actor as actor_number, e.data
    from hivelog.events e
    left join hivelog.queues q on q.id = e.queue
    left join hivelog.actors a on a.id = e.actor
    where e.position between %(first)s and %(last)s
) x
