-- The last position at which one of these jobs (uuid[]) was enqueued: one row, NULL if none was.
select max(position) from hivelog.events where stream = any (%(jobs)s::uuid[]) and version = 1
