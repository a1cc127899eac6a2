-- What happened in each queue, UTC minute by minute. Seconds are averages.
create or replace view hivelog_reports.queue_minutes as
select q.name as queue, m.minute, m.enqueued, m.started, m.completed, m.failed, m.expired, m.cancelled, m.lost,
    m.retried, m.requeued, m.released,
    m.wait_ms::float8 / nullif(m.waited, 0) / 1000 as wait_seconds,
    m.run_ms::float8 / nullif(m.completed, 0) / 1000 as run_seconds
from hivelog.queue_minutes m
join hivelog.queues q on q.id = m.queue;
