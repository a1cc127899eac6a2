-- Attempts by queue, type and the UTC hour in which they ended: how many, how they ended, how long they waited and ran.
create or replace view hivelog_reports.attempt_hours as
select q.name as queue, t.name as type, r.hour, r.attempts, r.completed, r.failed, r.retried, r.lost,
    r.waits[1] as wait_p50, r.waits[2] as wait_p95, r.waits[3] as wait_p99,
    r.runs[1] as run_p50, r.runs[2] as run_p95, r.runs[3] as run_p99
from (
    select x.queue, x.type, date_trunc('hour', x.ended_at, 'UTC') as hour, count(*) as attempts,
        count(*) filter (where x.outcome = 'completed') as completed,
        count(*) filter (where x.outcome in ('failed', 'expired')) as failed,
        count(*) filter (where x.outcome = 'retry_scheduled') as retried,
        count(*) filter (where x.outcome = 'lost') as lost,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (
            order by date_part('epoch', x.started_at - x.ready_at)) as waits,
        percentile_cont(array[0.5, 0.95, 0.99]) within group (
            order by date_part('epoch', x.ended_at - x.started_at)) as runs
    from hivelog.rounds x
    where x.started is not null and x.ended is not null and x.outcome <> 'released'
    group by 1, 2, 3
) r
join hivelog.queues q on q.id = r.queue
join hivelog.job_types t on t.id = r.type;

comment on view hivelog_reports.attempt_hours is 'Attempts by queue, type and the UTC hour in which they ended; exact percentiles, reads every attempt.';
comment on column hivelog_reports.attempt_hours.queue is 'The queue.';
comment on column hivelog_reports.attempt_hours.type is 'The job type.';
comment on column hivelog_reports.attempt_hours.hour is 'Begin of the hour.';
comment on column hivelog_reports.attempt_hours.attempts is 'Attempts that ended, without those given back.';
comment on column hivelog_reports.attempt_hours.completed is 'Of them completed.';
comment on column hivelog_reports.attempt_hours.failed is 'Of them those that ended their job failed or expired.';
comment on column hivelog_reports.attempt_hours.retried is 'Of them failed with a retry to come.';
comment on column hivelog_reports.attempt_hours.lost is 'Of them lost with their worker.';
comment on column hivelog_reports.attempt_hours.wait_p50 is 'Median seconds from able to run until started.';
comment on column hivelog_reports.attempt_hours.wait_p95 is '95th percentile of it.';
comment on column hivelog_reports.attempt_hours.wait_p99 is '99th percentile of it.';
comment on column hivelog_reports.attempt_hours.run_p50 is 'Median seconds from start to end.';
comment on column hivelog_reports.attempt_hours.run_p95 is '95th percentile of it.';
comment on column hivelog_reports.attempt_hours.run_p99 is '99th percentile of it.';
