-- Queues whose last mark is not what the live tables hold.
-- Answer: (queue, what, marked, counted).
select q.name, x.what, x.marked, x.counted
from hivelog.queues q
left join lateral (
    select m.* from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
) m on true
cross join lateral (values
    ('pending', coalesce(m.pending, 0), (select count(*)::integer from hivelog.pending p where p.queue = q.id)),
    ('queued', coalesce(m.ready, 0), (select count(*)::integer from hivelog.ready r where r.queue = q.id)),
    ('processing', coalesce(m.running, 0), (select count(*)::integer from hivelog.leases l where l.queue = q.id))
) x (what, marked, counted)
where x.marked <> x.counted
order by q.name, x.what
