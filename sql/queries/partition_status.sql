-- How far the partitions of the log reach.
-- Answer: ahead (partitions wholly beyond the head), default_rows (events outside of every partition,
-- counted up to 1,000), total (partitions but the default one and that of carried events).
select count(*) filter (where p.low > h.position)::integer as ahead,
    (select count(*) from (select from hivelog.events_default limit 1000) d)::integer as default_rows,
    count(*)::integer as total
from hivelog.events_partitions() p, (select b.position from hivelog.batches b order by b.position desc limit 1) h
where p.low is not null
