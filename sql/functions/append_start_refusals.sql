-- Which plain starts found no ready row, and why: not_ready (Redis was wrong: drop the id) or expired.
create or replace function hivelog.append_start_refusals(
    s_queue smallint[], s_type integer[], s_priority smallint[], s_job uuid[],
    t timestamptz, low bigint, high bigint
) returns table (n integer, code text) language sql stable as $$
    select u.n::integer, case when r.job is null then 'not_ready' else 'expired' end
    from unnest(s_queue, s_type, s_priority, s_job) with ordinality u (queue, type, priority, job, n)
    left join hivelog.ready r on r.queue = any (array[u.queue]) and r.type = u.type and r.priority = u.priority
        and r.job = u.job
    where not exists (
        select from hivelog.events e
        where e.position > low and e.position <= high and e.stream = u.job
    )
$$;
