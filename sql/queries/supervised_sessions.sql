-- The living sessions of some processes of one host: (pid, session, last_heartbeat, memory in MiB, jobs it runs,
-- attempts it has ended, as projected). Parameters: host, pids, names.
select s.pid, s.session, s.last_heartbeat, s.memory_mib,
    (select count(*) from hivelog.session_leases(s.id)),
    coalesce(w.completed + w.failed, 0)
from hivelog.sessions s
left join hivelog.workers w on w.id = s.id
where s.host = %(host)s and s.pid = any (%(pids)s) and s.name = any (%(names)s)
