-- Each event of first..last with its digest, as in seal_digests.sql: (position, digest).
-- Parameters: first, last, format.
select e.position, pg_catalog.sha256(@event_bytes@)
from hivelog.events e cross join (select %(format)s::integer as format) s
where e.position between %(first)s and %(last)s order by e.position
