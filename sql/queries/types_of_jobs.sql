-- The job types of these jobs, from their first events: (job, type).
select e.stream, e.data ->> 'type' from hivelog.events e where e.stream = any (%(jobs)s) and e.version = 1
