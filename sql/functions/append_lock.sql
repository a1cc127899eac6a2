-- The advisory lock key under which every append is serialised (one log per database).
create or replace function hivelog.append_lock() returns bigint
language sql immutable parallel safe as $$ select 7308620204983578983 $$;
