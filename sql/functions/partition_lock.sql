-- The advisory lock of whoever changes which partitions hivelog.events has.
create or replace function hivelog.partition_lock() returns bigint
language sql immutable parallel safe as $$ select 7308620204983578984::bigint $$;
