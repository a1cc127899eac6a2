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
