-- A page of the pending jobs of queue %(queue)s that were enqueued at or before %(position)s, after the key
-- (%(due)s, %(job)s), at most %(limit)s: (due_at, job, version).
select due_at, job, version from hivelog.pending
where queue = %(queue)s and enqueued <= %(position)s and (due_at, job) > (%(due)s, %(job)s)
order by due_at, job
limit %(limit)s
