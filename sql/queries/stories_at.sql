-- The stories of several streams (%(streams)s, uuid[]) up to a position, each in order; columns as read_stream.
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where stream = any (%(streams)s) and position <= %(position)s
order by stream, version
