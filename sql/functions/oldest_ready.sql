-- Since when the longest waiting ready job of a queue could have run; null when none waits.
-- Each (type, priority) of a queue keeps its ready jobs by id, and ids are by age, so the oldest is the oldest of
-- the first ones. A job counts from the time in its id, or from scheduled_for.
create or replace function hivelog.oldest_ready(in_queue smallint) returns timestamptz
language sql stable as $$
    select min(greatest(
        to_timestamp(('x' || substr(translate(f.job::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0),
        (f.spec ->> 'scheduled_for')::timestamptz))
    from hivelog.ready_firsts(in_queue) f
$$;
