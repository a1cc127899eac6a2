-- Failed attempts by fingerprint, job type and UTC hour.
create or replace view hivelog_reports.failures as
select f.fingerprint, t.name as type, f.hour, f.count, f.first_seen, f.last_seen,
    array(select q.name from hivelog.queues q where q.id = any (f.queues) order by q.name) as queues,
    f.cause, f.error_type, f.template as error, f.sample_job
from hivelog.failures f
join hivelog.job_types t on t.id = f.type;

comment on view hivelog_reports.failures is 'Failed attempts by what they have in common, job type and UTC hour.';
comment on column hivelog_reports.failures.fingerprint is 'What equal errors share; their cause where none was written.';
comment on column hivelog_reports.failures.type is 'The job type.';
comment on column hivelog_reports.failures.hour is 'Begin of the hour.';
comment on column hivelog_reports.failures.count is 'Failed attempts.';
comment on column hivelog_reports.failures.first_seen is 'The first of them.';
comment on column hivelog_reports.failures.last_seen is 'The last of them.';
comment on column hivelog_reports.failures.queues is 'Queues in which it happened.';
comment on column hivelog_reports.failures.cause is 'error, timeout, lost, payload, result or retry.';
comment on column hivelog_reports.failures.error_type is 'Type of the error.';
comment on column hivelog_reports.failures.error is 'The message without its literals.';
comment on column hivelog_reports.failures.sample_job is 'A job that shows it.';
