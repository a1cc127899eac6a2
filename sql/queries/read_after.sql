-- A page of the log after a position, oldest first: (position, recorded_at, stream, version, type, actor,
-- queue, attempt, body_size, correlation, data).
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where position > %(after)s
order by position
limit %(limit)s
