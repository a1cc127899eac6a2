-- What limited a queue up to a position, in order: (type, ms since origin, data). Parameters: stream (the
-- queue's), high, origin (a time).
select e.type::text, round(date_part('epoch', e.recorded_at - %(origin)s::timestamptz) * 1000)::bigint, e.data
from hivelog.events e
where e.stream = %(stream)s and e.position <= %(high)s
    and e.type in ('queue_configured', 'scaled', 'paused', 'resumed')
order by e.version
