-- The advisory lock of whoever puts a new generation of a projection in the old one's place.
create or replace function hivelog.swap_lock() returns bigint
language sql immutable parallel safe as $$ select 7308620204983578990::bigint $$;
