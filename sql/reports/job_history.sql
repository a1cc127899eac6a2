-- One row an attempt, and one for a job without any. Status: the job's own while the attempt runs or is the
-- job's end, `retried` where another attempt followed, `lost` where its worker died. Attempts that were given
-- back (released) are none. `error` is the message without its literals: the text itself may be encrypted.
create or replace view hivelog_reports.job_history as
select r.job as job_id, q.name as queue, t.name as type, r.attempt::integer as attempt,
    case when r.outcome is null then 'processing' when r.outcome = 'retry_scheduled' then 'retried'
        else r.outcome::text end as status,
    hivelog.worker_name(a.name) as worker, j.created_at, r.started_at, r.ended_at,
    case when r.outcome is null or r.outcome = 'completed' then null
        else coalesce(nullif(concat_ws(': ', e.data ->> 'error_type', e.data ->> 'template'), ''),
            e.data ->> 'cause', case r.outcome when 'lost' then 'the worker died' when 'failed' then 'error' end)
    end as error
from hivelog.rounds r
join hivelog.jobs j on j.id = r.job
join hivelog.job_types t on t.id = r.type
join hivelog.queues q on q.id = r.queue
left join hivelog.actors a on a.id = r.session
left join hivelog.events e on e.position = r.ended and r.outcome <> 'completed'
where r.started is not null and (r.outcome is null or r.outcome <> 'released')
union all
select j.id, q.name, t.name, null, j.status::text, null, j.created_at, null, j.ended_at, j.cause
from hivelog.jobs j
join hivelog.job_types t on t.id = j.type
join hivelog.queues q on q.id = j.queue
where j.attempt = 0;

comment on view hivelog_reports.job_history is 'One row an attempt, and one for a job that never had one.';
comment on column hivelog_reports.job_history.job_id is 'The job''s id.';
comment on column hivelog_reports.job_history.queue is 'Its queue.';
comment on column hivelog_reports.job_history.type is 'Its job type.';
comment on column hivelog_reports.job_history.attempt is 'Number of the attempt, from 1; null for a job without one.';
comment on column hivelog_reports.job_history.status is 'One of the seven states, or retried (another attempt followed) or lost (its worker died).';
comment on column hivelog_reports.job_history.worker is 'Name of the worker that ran it.';
comment on column hivelog_reports.job_history.created_at is 'When the job was enqueued.';
comment on column hivelog_reports.job_history.started_at is 'When the attempt started.';
comment on column hivelog_reports.job_history.ended_at is 'When it ended; null while it runs.';
comment on column hivelog_reports.job_history.error is 'Type and message without its literals, or the cause; null for success.';
