-- Which of the jobs `t` are ready, with what orders them. Two ways to the same answer, because each is ruinous where
-- the other is right: a probe of the key for every job and every (type, priority) of its queue, for few of them,
-- and one scan of `ready` for many. The settings keep the planner to it, whatever the statistics say at the moment.
create or replace function hivelog.feed_live_few(
    t_queue smallint[], t_job uuid[], k_queue smallint[], k_type integer[], k_priority smallint[]
) returns table (queue smallint, type integer, priority smallint, job uuid)
language sql stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
    select r.queue, r.type, r.priority, r.job
    from unnest(t_queue, t_job) t (queue, job)
    join unnest(k_queue, k_type, k_priority) k (queue, type, priority) on k.queue = t.queue
    cross join lateral (
        select r.* from hivelog.ready r
        where r.queue = k.queue and r.type = k.type and r.priority = k.priority and r.job = t.job
        limit 1  -- else the planner may go through all of it for each job, where it believes it to be small
    ) r
$$;

create or replace function hivelog.feed_live_many(t_queue smallint[], t_job uuid[])
returns table (queue smallint, type integer, priority smallint, job uuid)
language sql stable set enable_nestloop = off as $$
    select r.queue, r.type, r.priority, r.job
    from hivelog.ready r join unnest(t_queue, t_job) t (queue, job) on t.queue = r.queue and t.job = r.job
$$;
