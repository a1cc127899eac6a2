-- A page of the ready jobs of one queue, type and priority that were enqueued at or before %(position)s, after
-- %(job)s, at most %(limit)s: (job, version).
select job, version from hivelog.ready
where queue = %(queue)s and type = %(type)s and priority = %(priority)s and job > %(job)s
    and enqueued <= %(position)s
order by job
limit %(limit)s
