-- What ever happened in each queue: (queue, completed, failed, cancelled, expired, lost, enqueued, run seconds,
-- started).
select q.name, coalesce(sum(h.completed), 0)::bigint, coalesce(sum(h.failed), 0)::bigint,
    coalesce(sum(h.cancelled), 0)::bigint, coalesce(sum(h.expired), 0)::bigint, coalesce(sum(h.lost), 0)::bigint,
    coalesce(sum(h.enqueued), 0)::bigint, coalesce(sum(h.run_ms), 0)::float8 / 1000,
    coalesce(sum(h.started), 0)::bigint
from hivelog.queues q left join hivelog.queue_hours h on h.queue = q.id
where not q.deleted
group by q.name order by q.name
