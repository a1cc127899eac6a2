-- Every living worker session with what it runs, and those that ended since a time.
-- Parameters: since (null: living ones only).
-- Answer: (session, name, host, pid, queues, types, slots, busy, jobs, started_at, last_heartbeat, memory_mib,
-- loop_blocked, stale, ended_at, ended_by, completed, failed); jobs: [{id, queue, type, started_at}], the oldest 100.
-- stale: no heartbeat for two and a half of its periods; the reaper has the last word.
select s.session, s.name, s.host, s.pid, s.queues, s.types, s.slots,
    (select count(*)::integer from hivelog.session_leases(s.id)) as busy,
    (select coalesce(jsonb_agg(jsonb_build_object('id', x.job, 'queue', q.name, 'type', t.name, 'started_at',
        to_char(x.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by x.token), '[]')
        from (select * from hivelog.session_leases(s.id) l order by l.token limit 100) x
        join hivelog.queues q on q.id = x.queue join hivelog.job_types t on t.id = x.type) as jobs,
    s.started_at, s.last_heartbeat, s.memory_mib, s.loop_blocked,
    s.last_heartbeat < hivelog.now() - 2.5 * make_interval(secs => s.heartbeat) as stale,
    null::timestamptz as ended_at, null::text as ended_by,
    coalesce(w.completed, 0) as completed, coalesce(w.failed, 0) as failed
from hivelog.sessions s
left join hivelog.workers w on w.id = s.id
union all
select w.session, w.name, w.host, w.pid, w.queues, w.types, w.slots, 0, '[]'::jsonb, w.started_at, null, null, null, false,
    w.ended_at, w.ended_by, w.completed, w.failed
from hivelog.workers w
where %(since)s::timestamptz is not null and w.ended_at >= %(since)s
    and not exists (select from hivelog.sessions s where s.id = w.id)
order by name, started_at
