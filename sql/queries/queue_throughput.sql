-- What a queue has done since the beginning of the UTC hour or day.
-- Parameters: queue (its number), unit (hour or day).
-- Answer: one row: completed (all that ended), success, failed (failed and expired), success_rate in percent,
-- 0 when none ended.
select coalesce(sum(h.completed + h.failed + h.expired), 0)::bigint as completed,
    coalesce(sum(h.completed), 0)::bigint as success,
    coalesce(sum(h.failed + h.expired), 0)::bigint as failed,
    coalesce(100.0 * sum(h.completed) / nullif(sum(h.completed + h.failed + h.expired), 0), 0)::float8
        as success_rate
from hivelog.queue_hours h
where h.queue = %(queue)s and h.hour >= date_trunc(%(unit)s, (
    select greatest(hivelog.now(), b.recorded_at) from hivelog.batches b order by b.position desc limit 1
), 'UTC')
