-- Pending jobs whose time has come, in order after (%(due)s, %(job)s), at most %(limit)s, not those that were due more
-- than %(back)s seconds ago: (due_at, job, queue, type, priority, version, expires_at <= now).
select due_at, job, queue, type, priority, version, coalesce(expires_at <= hivelog.now(), false)
from hivelog.pending
where due_at <= (select hivelog.now())
    and (due_at, job) > (
        greatest(%(due)s, (select hivelog.now() - make_interval(secs => %(back)s))), %(job)s)
order by due_at, job
limit %(limit)s
