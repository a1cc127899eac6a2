-- The stream of what belongs to no job, queue or session (events/names.py has the same).
create or replace function hivelog.system_stream() returns uuid
language sql immutable parallel safe as $$ select '22ce2a31-2631-58a0-ba5c-68a081265b38'::uuid $$;
