-- What happened in each queue, UTC hour by hour, with percentiles from its histograms: few rows, quick to read.
create or replace view hivelog_reports.queue_hours as
select q.name as queue, h.hour, h.enqueued, h.started, h.completed, h.failed, h.expired, h.cancelled, h.lost, h.retried,
    h.requeued, h.released, 100.0::float8 * h.completed / nullif(h.completed + h.failed + h.expired, 0) as success_rate,
    h.wait_ms::float8 / nullif(h.waited, 0) / 1000 as wait_seconds,
    hivelog.histogram_percentile(h.waits, 0.5) as wait_p50, hivelog.histogram_percentile(h.waits, 0.95) as wait_p95,
    hivelog.histogram_percentile(h.waits, 0.99) as wait_p99,
    h.run_ms::float8 / nullif(h.completed, 0) / 1000 as run_seconds,
    hivelog.histogram_percentile(h.runs, 0.5) as run_p50, hivelog.histogram_percentile(h.runs, 0.95) as run_p95,
    hivelog.histogram_percentile(h.runs, 0.99) as run_p99
from hivelog.queue_hours h
join hivelog.queues q on q.id = h.queue;

comment on view hivelog_reports.queue_hours is 'What happened in each queue, UTC hour by hour, with percentiles; few rows, quick to read.';
comment on column hivelog_reports.queue_hours.queue is 'The queue.';
comment on column hivelog_reports.queue_hours.hour is 'Begin of the hour.';
comment on column hivelog_reports.queue_hours.enqueued is 'Jobs enqueued.';
comment on column hivelog_reports.queue_hours.started is 'Attempts started.';
comment on column hivelog_reports.queue_hours.completed is 'Jobs completed.';
comment on column hivelog_reports.queue_hours.failed is 'Jobs that ended failed.';
comment on column hivelog_reports.queue_hours.expired is 'Jobs that ended expired.';
comment on column hivelog_reports.queue_hours.cancelled is 'Jobs cancelled.';
comment on column hivelog_reports.queue_hours.lost is 'Attempts whose worker died.';
comment on column hivelog_reports.queue_hours.retried is 'Retries scheduled.';
comment on column hivelog_reports.queue_hours.requeued is 'Ended jobs run again.';
comment on column hivelog_reports.queue_hours.released is 'Attempts given back.';
comment on column hivelog_reports.queue_hours.success_rate is 'Percent completed of those that completed, failed or expired.';
comment on column hivelog_reports.queue_hours.wait_seconds is 'Average time from able to run until started.';
comment on column hivelog_reports.queue_hours.wait_p50 is 'Median of it, in seconds.';
comment on column hivelog_reports.queue_hours.wait_p95 is '95th percentile of it.';
comment on column hivelog_reports.queue_hours.wait_p99 is '99th percentile of it.';
comment on column hivelog_reports.queue_hours.run_seconds is 'Average run time of completed attempts.';
comment on column hivelog_reports.queue_hours.run_p50 is 'Median of it, in seconds.';
comment on column hivelog_reports.queue_hours.run_p95 is '95th percentile of it.';
comment on column hivelog_reports.queue_hours.run_p99 is '99th percentile of it.';
