-- The whole stories of several streams (%(streams)s, uuid[]), each in order; columns as read_stream, then
-- the time now. One row of NULLs and the time when there are none.
select e.*, n.now
from (select hivelog.now() as now) n
left join (
    select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size,
        correlation, data
    from hivelog.events
    where stream = any (%(streams)s)
) e on true
order by e.stream, e.version
