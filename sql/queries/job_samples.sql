-- The newest jobs of each queue and state. Parameters: queues, statuses, each (of a queue and state), most (of all).
-- Answer: (id), the newest first.
select c.id from unnest(%(queues)s::smallint[]) q (queue)
cross join unnest(%(statuses)s::hivelog.job_status[]) s (status)
cross join lateral (
    select j.id from hivelog.jobs j where j.queue = q.queue and j.status = s.status order by j.id desc limit %(each)s
) c
order by c.id desc
limit %(most)s
