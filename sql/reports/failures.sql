-- Failed attempts by fingerprint, job type and UTC hour.
create or replace view hivelog_reports.failures as
select f.fingerprint, t.name as type, f.hour, f.count, f.first_seen, f.last_seen,
    array(select q.name from hivelog.queues q where q.id = any (f.queues) order by q.name) as queues,
    f.cause, f.error_type, f.template as error, f.sample_job
from hivelog.failures f
join hivelog.job_types t on t.id = f.type;
