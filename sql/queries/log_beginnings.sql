-- When each partition of the log began: (position, recorded_at) of its first event, in order.
select e.position, e.recorded_at
from hivelog.events_partitions() p
cross join lateral (
    select e.position, e.recorded_at from hivelog.events e
    where e.position >= p.low and e.position < p.high order by e.position limit 1
) e
where p.low is not null
order by e.position
