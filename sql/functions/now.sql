-- The only clock that decides. Whole milliseconds, so that JSON and SQL show the same instant.
-- Tests replace this one function to move time.
create or replace function hivelog.now() returns timestamptz
language sql volatile parallel safe as $$
    select date_trunc('milliseconds', clock_timestamp())
$$;
