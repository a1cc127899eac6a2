-- Every worker session that lived at a moment of the past, with what it ran.
-- Parameters: position, now. Answer: (session, name, host, pid, queues, types, slots, busy, jobs, started_at), as
-- worker_status has them.
with running as materialized (
    select l.* from hivelog.running_at((select array_agg(q.id) from hivelog.queues q), %(position)s::bigint) l
), numbered as materialized (
    select r.*, row_number() over (partition by r.session order by r.token) as place from running r
), held as (
    select n.session, count(*)::integer as busy,
        jsonb_agg(jsonb_build_object('id', n.job, 'queue', q.name, 'type', t.name, 'started_at',
            to_char(n.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by n.token)
            filter (where n.place <= 100) as jobs
    from numbered n
    join hivelog.queues q on q.id = n.queue
    join hivelog.job_types t on t.id = n.type
    group by n.session
)
select s.session, s.name, s.host, s.pid, s.queues, s.types, s.slots, coalesce(h.busy, 0) as busy,
    coalesce(h.jobs, '[]') as jobs, s.started_at
from hivelog.sessions_at(%(position)s::bigint, %(now)s::timestamptz) s
left join held h on h.session = s.id
order by s.name, s.started_at
