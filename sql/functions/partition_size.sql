-- Positions in one partition of hivelog.events. Never changes: partition n begins at n times this.
create or replace function hivelog.partition_size() returns bigint
language sql immutable parallel safe as $$ select 5000000::bigint $$;
