-- The digests of the events in first..last as events/canonical.py defines them, for sealing and for verifying.
-- The limit leaves nothing out that would not be missed: one more than there may be is a wrong count. It is there because
-- PostgreSQL would else scan a young table by a bitmap and sort what it digested, a fifth of the statement's time.
-- Parameters: first, last, format (of the seal: 1 or 2).
-- Answer: one row: their digests (32 bytes each) in the order of positions, the first position of a new epoch among them
-- (null: none), and which actors and which queues they name: a bit for each number below 64, and the highest of them.
select coalesce(string_agg(x.digest, ''::bytea order by x.position), ''::bytea),
    min(x.position) filter (where x.type = 'epoch_started'),
    bit_or(1::bigint << x.actor), bit_or(1::bigint << x.queue), max(x.actor), max(x.queue)
from (
    select e.position, e.type, e.actor, e.queue, pg_catalog.sha256(@event_bytes@) as digest
    from hivelog.events e cross join (select %(format)s::integer as format) s
    where e.position between %(first)s and %(last)s
    order by e.position limit (select %(last)s::bigint - %(first)s::bigint + 2)
) x
