-- The events of one batch (first, head], with what a worker needs of the jobs that it started and still
-- holds: (position, type, stream, queue, session, attempt, retry, priority, spec, salt, kek, wrapped, body).
select e.position, e.type::text, e.stream, e.queue, l.session, l.attempt, l.retry, l.priority, o.data,
    v.salt, v.kek, v.wrapped, v.body
from hivelog.events e
left join lateral (
    select * from hivelog.leases x where x.job = e.stream and x.token = e.position
    limit 1  -- so that each is looked up: where dead rows are many, reading all of it looks cheap
) l on e.type = 'started'
left join hivelog.events o on o.position = l.enqueued
left join hivelog.vault v on v.job = l.job and v.slot = 0 and v.token = 0
where e.position between %s and %s
order by e.position
