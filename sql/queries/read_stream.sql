-- The story of one stream from a position on, in order; columns as read_after.
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where stream = %(stream)s and position >= %(since)s
order by version
