-- Which of these jobs are ready, each looked up by its whole key. The settings keep the planner to it, whatever the
-- statistics say at the moment: to read all of `ready` looks cheap where it is mostly dead rows.
create or replace function hivelog.feed_live(in_queue smallint[], in_type integer[], in_priority smallint[], in_job uuid[])
returns table (queue smallint, type integer, priority smallint, job uuid)
language sql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
    select r.queue, r.type, r.priority, r.job
    from unnest(in_queue, in_type, in_priority, in_job) t (queue, type, priority, job)
    cross join lateral (
        select x.queue, x.type, x.priority, x.job from hivelog.ready x
        where x.queue = t.queue and x.type = t.type and x.priority = t.priority and x.job = t.job
        limit 1  -- else the planner may go through all of it for each job, where it believes it to be small
    ) r
$$;
