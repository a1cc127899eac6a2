-- The events of first..last as they are sealed, column by column; data as its text.
-- Parameters: first, last.
select e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
    e.schema, e.body_digest, e.correlation, e.data::text
from hivelog.events e where e.position between %(first)s and %(last)s order by e.position
