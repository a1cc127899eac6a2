-- What a drain of queue %(queue)s would end: (head, position, matched). The position is %(position)s, or the
-- head where that is NULL; matched counts the waiting jobs enqueued at or before it.
select h.head, p.position,
    (select count(*) from hivelog.pending x where x.queue = %(queue)s and x.enqueued <= p.position)
    + (select count(*) from hivelog.ready x where x.queue = %(queue)s and x.enqueued <= p.position)
from (select max(position) as head from hivelog.batches) h,
    lateral (select coalesce(%(position)s::bigint, h.head) as position) p
