-- Jobs of queues that were in some statuses at a position, as far as only their rounds tell it: what was live then, and
-- what had ended and was run again since. With those of hivelog.ended_then they are all.
create or replace function hivelog.told_by_rounds(in_queues smallint[], in_statuses hivelog.job_status[], at_position bigint)
returns table (job uuid, queue smallint, status hivelog.job_status)
language sql stable rows 100 as $$
    select r.job, r.queue, r.status from hivelog.rounds r
    where r.queue = any (in_queues) and r.ended <= at_position
        and r.revived > at_position and r.status = any (in_statuses)
    union all
    select w.job, w.queue, (case when w.able then 'queued' else 'pending' end)::hivelog.job_status
    from hivelog.waiting_at(in_queues, at_position) w
    where in_statuses && '{queued,pending}'
        and (case when w.able then 'queued' else 'pending' end)::hivelog.job_status = any (in_statuses)
    union all
    select l.job, l.queue, 'processing' from hivelog.running_at(in_queues, at_position) l
    where 'processing' = any (in_statuses)
$$;
