-- What happened in each queue, UTC minute by minute. Seconds are averages.
create or replace view hivelog_reports.queue_minutes as
select q.name as queue, m.minute, m.enqueued, m.started, m.completed, m.failed, m.expired, m.cancelled, m.lost,
    m.retried, m.requeued, m.released,
    m.wait_ms::float8 / nullif(m.waited, 0) / 1000 as wait_seconds,
    m.run_ms::float8 / nullif(m.completed, 0) / 1000 as run_seconds
from hivelog.queue_minutes m
join hivelog.queues q on q.id = m.queue;

comment on view hivelog_reports.queue_minutes is 'What happened in each queue, UTC minute by minute.';
comment on column hivelog_reports.queue_minutes.queue is 'The queue.';
comment on column hivelog_reports.queue_minutes.minute is 'Begin of the minute.';
comment on column hivelog_reports.queue_minutes.enqueued is 'Jobs enqueued.';
comment on column hivelog_reports.queue_minutes.started is 'Attempts started.';
comment on column hivelog_reports.queue_minutes.completed is 'Jobs completed.';
comment on column hivelog_reports.queue_minutes.failed is 'Jobs that ended failed.';
comment on column hivelog_reports.queue_minutes.expired is 'Jobs that ended expired.';
comment on column hivelog_reports.queue_minutes.cancelled is 'Jobs cancelled.';
comment on column hivelog_reports.queue_minutes.lost is 'Attempts whose worker died.';
comment on column hivelog_reports.queue_minutes.retried is 'Retries scheduled.';
comment on column hivelog_reports.queue_minutes.requeued is 'Ended jobs run again.';
comment on column hivelog_reports.queue_minutes.released is 'Attempts given back.';
comment on column hivelog_reports.queue_minutes.wait_seconds is 'Average time from able to run until started.';
comment on column hivelog_reports.queue_minutes.run_seconds is 'Average run time of completed attempts.';
