-- Which of a claim's ids are still ready under the key they were claimed by, and as of which head.
-- Parameters: queues, types, priorities, ids (arrays). Answers (position, epoch, queue, type, priority, ids),
-- ids of 16 bytes each joined; one row with NULLs if none is.
with wanted as materialized (
    select * from unnest(%s::smallint[], %s::integer[], %s::smallint[], %s::uuid[])
        u (queue, type, priority, job)
), still as (
    select w.queue, w.type, w.priority, string_agg(uuid_send(w.job), '') as jobs
    from wanted w
    cross join lateral (
        select from hivelog.ready r
        where r.queue = w.queue and r.type = w.type and r.priority = w.priority and r.job = w.job
        limit 1  -- so that each is looked up: where dead rows are many, reading all of it looks cheap
    ) r
    group by w.queue, w.type, w.priority
)
select b.position, b.epoch, s.queue, s.type, s.priority, s.jobs
from (select position, epoch from hivelog.batches order by position desc limit 1) b
left join still s on true
