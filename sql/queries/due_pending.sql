-- Pending jobs whose time has come, in order after (%(due)s, %(job)s), at most %(limit)s:
-- (due_at, job, queue, version, expires_at <= now).
select due_at, job, queue, version, coalesce(expires_at <= hivelog.now(), false)
from hivelog.pending
where due_at <= (select hivelog.now()) and (due_at, job) > (%(due)s, %(job)s)
order by due_at, job
limit %(limit)s
