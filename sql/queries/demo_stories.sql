-- Three jobs that completed since a position, told event by event: the most retried one of a queue,
-- of different queues where possible.
-- Parameters: after (position; only later events count).
-- Answer: a row an event, stories apart and in order: job, queue, job_type, version, event, at, actor,
-- attempt, detail (why, where the event says it), seconds (since the job was enqueued).
with ended as (
    select e.stream, e.queue, max(e.position) as last,
        count(*) filter (where e.type = 'retry_scheduled') as retries,
        max(e.data ->> 'type') filter (where e.type = 'enqueued') as job_type
    from hivelog.events e
    where e.position > %(after)s
        and e.type in ('enqueued', 'retry_scheduled', 'completed')
    group by e.stream, e.queue
    having bool_or(e.type = 'enqueued') and bool_or(e.type = 'completed')
), ranked as (
    select d.*, row_number() over (partition by d.queue order by d.retries desc, d.last) as place
    from ended d
), chosen as (
    select r.stream, r.queue, r.job_type, row_number() over (order by r.place, r.retries desc, r.last) as story
    from ranked r
    order by story
    limit 3
)
select c.stream as job, q.name as queue, c.job_type, e.version, e.type::text as event, e.recorded_at as at,
    a.name as actor, e.attempt,
    concat_ws(': ', e.data ->> 'cause', e.data ->> 'error_type', e.data ->> 'template') as detail,
    extract(epoch from e.recorded_at - min(e.recorded_at) over (partition by e.stream))::float8 as seconds
from chosen c
join hivelog.events e on e.stream = c.stream
join hivelog.queues q on q.id = c.queue
left join hivelog.actors a on a.id = e.actor
where e.type <> 'progressed'
order by c.story, e.version;
