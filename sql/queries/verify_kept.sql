-- Events that were carried across the edge of retention, in order, and what the seal that covers each kept of it:
-- (position, digest of format 1, two bytes of the digest that the seal's format has, and those that were sealed or null).
-- Digests as in seal_digests.sql. Parameters: after, edge, limit.
select e.position, pg_catalog.sha256(@event_record@), substring(pg_catalog.sha256(@event_bytes@) for 2),
    substring(s.prints from (2 * (e.position - s.first) + 1)::integer for 2)
from hivelog.events e
left join lateral (
    select s.format, s.first, s.prints from hivelog.seals s where s.position >= e.position order by s.position limit 1
) s on true
where e.position > %(after)s and e.position <= %(edge)s
order by e.position limit %(limit)s
