-- Those of the jobs %(ids)s that are in one of the queues: (id, enqueued, position), as projected.
select j.id, j.enqueued, j.position from hivelog.jobs j
where j.id = any (%(ids)s::uuid[]) and j.queue = any (%(queues)s::smallint[])
    and j.status = any (%(statuses)s::hivelog.job_status[])
order by j.id desc
