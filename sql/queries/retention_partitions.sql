-- The partitions of the log that nothing is written to any more, oldest first: (name, first and last position, when
-- the last event was recorded). The one of carried events is left out.
select p.name, greatest(p.low, 1), p.high - 1, e.recorded_at
from hivelog.events_partitions() p
cross join lateral (
    select x.recorded_at from hivelog.events x
    where x.position >= p.low and x.position < p.high order by x.position desc limit 1
) e
where p.low is not null
    and p.high <= (select b.position from hivelog.batches b order by b.position desc limit 1)
order by p.low
