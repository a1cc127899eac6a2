-- All living sessions: (id, session, name, last_heartbeat, dead_after s, now). One row with NULLs before the
-- time when there are none.
select s.id, s.session, s.name, s.last_heartbeat, s.dead_after, n.now
from (select hivelog.now() as now) n
left join hivelog.sessions s on true
