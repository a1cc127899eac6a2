-- A page of the log after a position that looks at `span` positions at most: columns as read_after. Null filters
-- do not filter. The page ends at `after + span` even where nothing fits, so that no call reads the whole log.
-- Small numbers arrive as smallint: their sum must not be one.
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where position > %(after)s and position <= %(after)s::bigint + %(span)s
    and (%(types)s::text[] is null or type::text = any (%(types)s))
    and (%(queues)s::smallint[] is null or queue = any (%(queues)s))
    and (%(actor)s::integer is null or actor = %(actor)s)
order by position
limit %(limit)s
