-- One row a job, as projected.
create or replace view hivelog_reports.jobs as
select j.id as job_id, q.name as queue, t.name as type, j.status::text as status, j.priority::integer as priority,
    j.attempt::integer as attempts, j.retry::integer as retries, hivelog.worker_name(a.name) as worker,
    j.created_at, j.due_at as scheduled_for, j.started_at, j.ended_at, j.expires_at, j.progress,
    j.cancelling, j.correlation as correlation_id, j.source, j.tags, j.cause, j.error_type,
    j.template as error, j.fingerprint, j.size as payload_bytes, j.erased, j.version, j.position
from hivelog.jobs j
join hivelog.job_types t on t.id = j.type
join hivelog.queues q on q.id = j.queue
left join hivelog.actors a on a.id = j.session;

comment on view hivelog_reports.jobs is 'One row a job, as it is now.';
comment on column hivelog_reports.jobs.job_id is 'The job''s id.';
comment on column hivelog_reports.jobs.queue is 'Its queue.';
comment on column hivelog_reports.jobs.type is 'Its job type.';
comment on column hivelog_reports.jobs.status is 'pending, queued, processing, completed, failed, cancelled or expired.';
comment on column hivelog_reports.jobs.priority is 'Higher runs first.';
comment on column hivelog_reports.jobs.attempts is 'Attempts that counted, over its whole life.';
comment on column hivelog_reports.jobs.retries is 'Retries since it was enqueued or run again.';
comment on column hivelog_reports.jobs.worker is 'Name of the last worker that ran it.';
comment on column hivelog_reports.jobs.created_at is 'When it was enqueued.';
comment on column hivelog_reports.jobs.scheduled_for is 'Until when it waits, while it is pending.';
comment on column hivelog_reports.jobs.started_at is 'Start of the last attempt.';
comment on column hivelog_reports.jobs.ended_at is 'When it ended; null while it lives.';
comment on column hivelog_reports.jobs.expires_at is 'Not started after this time.';
comment on column hivelog_reports.jobs.progress is 'Percent, while it runs.';
comment on column hivelog_reports.jobs.cancelling is 'It runs and was asked to stop.';
comment on column hivelog_reports.jobs.correlation_id is 'What it belongs to.';
comment on column hivelog_reports.jobs.source is 'Who enqueued it.';
comment on column hivelog_reports.jobs.tags is 'Its tags.';
comment on column hivelog_reports.jobs.cause is 'Why it failed, was lost, cancelled or retried last.';
comment on column hivelog_reports.jobs.error_type is 'Type of the last error.';
comment on column hivelog_reports.jobs.error is 'Message of the last error without its literals.';
comment on column hivelog_reports.jobs.fingerprint is 'What equal errors share; see failures.';
comment on column hivelog_reports.jobs.payload_bytes is 'Size of the payload.';
comment on column hivelog_reports.jobs.erased is 'What it carried was erased.';
comment on column hivelog_reports.jobs.version is 'Number of its last event in its own story.';
comment on column hivelog_reports.jobs.position is 'Position of its last event in the log.';
