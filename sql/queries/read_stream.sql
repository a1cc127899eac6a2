-- The whole story of one stream, in order; columns as read_after.
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where stream = %(stream)s
order by version
