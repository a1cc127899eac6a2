-- The whole log of all jobs, job by job, each in order; columns as read_after.
select position, recorded_at, stream, version, type::text, actor, queue, attempt, body_size, correlation, data
from hivelog.events
where type <= 'payload_erased'
order by stream, version
