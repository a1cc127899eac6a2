-- One row an attempt, and one for a job without any. Status: the job's own while the attempt runs or is the
-- job's end, `retried` where another attempt followed, `lost` where its worker died. Attempts that were given
-- back (released) are none. `error` is the message without its literals: the text itself may be encrypted.
create or replace view hivelog_reports.job_history as
select e.stream as job_id, q.name as queue, t.name as type, s.attempt::integer as attempt,
    case e.type when 'retry_scheduled' then 'retried' else e.type::text end as status,
    hivelog.worker_name(a.name) as worker, j.created_at, s.recorded_at as started_at,
    e.recorded_at as ended_at,
    case when e.type = 'completed' then null
        else coalesce(nullif(concat_ws(': ', e.data ->> 'error_type', e.data ->> 'template'), ''),
            e.data ->> 'cause', case e.type when 'lost' then 'the worker died' when 'failed' then 'error' end) end as error
from hivelog.events e
cross join lateral (
    select b.* from hivelog.events b
    where b.stream = e.stream and b.version < e.version
        and b.type not in ('progressed', 'cancel_requested')
    order by b.version desc limit 1
) s
join hivelog.jobs j on j.id = e.stream
join hivelog.job_types t on t.id = j.type
join hivelog.queues q on q.id = e.queue
left join hivelog.actors a on a.id = s.actor
where e.type in ('completed', 'retry_scheduled', 'failed', 'cancelled', 'expired', 'lost') and s.type = 'started'
union all
select j.id, q.name, t.name, j.attempt, 'processing', hivelog.worker_name(a.name), j.created_at, j.started_at, null, null
from hivelog.jobs j
join hivelog.job_types t on t.id = j.type
join hivelog.queues q on q.id = j.queue
left join hivelog.actors a on a.id = j.session
where j.status = 'processing'
union all
select j.id, q.name, t.name, null, j.status::text, null, j.created_at, null, j.ended_at, j.cause
from hivelog.jobs j
join hivelog.job_types t on t.id = j.type
join hivelog.queues q on q.id = j.queue
where j.attempt = 0;
