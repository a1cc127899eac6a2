-- Positions that a new partition of hivelog.events is made for. The more partitions there are the larger, so that
-- there are fewer than a hundred; most are cut by time before they are full (hivelog.cut_partition).
create or replace function hivelog.partition_size(partitions bigint default 0) returns bigint
language sql immutable parallel safe as $$ select 5000000::bigint * (1 + partitions / 40) $$;
