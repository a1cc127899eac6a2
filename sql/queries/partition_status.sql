-- How far the partitions of the log reach.
-- Answer: ahead (partitions wholly beyond the head), default_rows (events outside of every partition,
-- counted up to 1,000), total (partitions but the default one).
select count(*) filter (where p.number > h.position / hivelog.partition_size())::integer as ahead,
    (select count(*) from (select from hivelog.events_default limit 1000) d)::integer as default_rows,
    count(*)::integer as total
from (
    select substring(c.relname from '^events_([0-9]+)$')::bigint as number
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'hivelog.events'::regclass and c.relname ~ '^events_[0-9]+$'
) p, (select b.position from hivelog.batches b order by b.position desc limit 1) h
