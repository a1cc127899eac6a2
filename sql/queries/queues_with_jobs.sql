-- Those of some queues (%(queues)s, numbers) of which the job list has any job: (number).
-- One by one by the key (`order by`): to find that one has none, the table would be scanned.
select q.number from unnest(%(queues)s::smallint[]) q (number)
cross join lateral (
    select from hivelog.jobs j where j.queue = q.number order by j.status, j.id limit 1
) j
