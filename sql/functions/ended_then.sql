-- Jobs of a queue that had ended so at a moment of the past and did nothing since, or no more than end so again: those that
-- the status which they have now finds.
create or replace function hivelog.ended_then(in_queue smallint, in_status hivelog.job_status, at_position bigint,
    at_time timestamptz)
returns table (id uuid, type integer, source text, created_at timestamptz)
language sql stable rows 1000 as $$
    select j.id, j.type, j.source, j.created_at from hivelog.jobs j
    where in_status >= 'completed' and j.queue = in_queue and j.status = in_status
        -- Within coalesce, so that the planner cannot take these three for independent, expect next to nothing,
        -- and read and sort the whole range instead of its end.
        and coalesce(j.enqueued <= at_position and j.ended_at <= at_time
            and (j.position <= at_position or j.ended_at < at_time or exists (
                select from hivelog.rounds o where o.job = j.id and o.ended <= at_position
                    and o.status = j.status and o.revived is null)), false)
$$;
