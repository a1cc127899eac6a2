-- Why attempts were run again, by queue, type, cause and the UTC hour in which the attempt before ended.
create or replace view hivelog_reports.retry_causes as
select q.name as queue, t.name as type, date_trunc('hour', r.ended_at, 'UTC') as hour, r.cause,
    e.data ->> 'error_type' as error_type, e.data ->> 'template' as error, count(*) as retries
from hivelog.rounds r
join hivelog.queues q on q.id = r.queue
join hivelog.job_types t on t.id = r.type
left join hivelog.events e on e.position = r.ended
where r.outcome = 'retry_scheduled' or r.outcome = 'lost' and r.status is null
group by 1, 2, 3, 4, 5, 6;

comment on view hivelog_reports.retry_causes is 'Why attempts were run again, by queue, type and UTC hour.';
comment on column hivelog_reports.retry_causes.queue is 'The queue.';
comment on column hivelog_reports.retry_causes.type is 'The job type.';
comment on column hivelog_reports.retry_causes.hour is 'Hour in which the attempt before ended.';
comment on column hivelog_reports.retry_causes.cause is 'error, timeout, retry (its handler asked) or lost.';
comment on column hivelog_reports.retry_causes.error_type is 'Type of the error, where one was told.';
comment on column hivelog_reports.retry_causes.error is 'Its message without its literals.';
comment on column hivelog_reports.retry_causes.retries is 'How many.';
