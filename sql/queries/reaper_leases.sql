-- Leases that something is wrong with: (job, token, deadline, cancelling, orphaned, now): past their deadline, being
-- cancelled, or, if %(orphans)s, of a session that is over. These are found by going through the whole table, so not to
-- be asked for at every look.
select l.job, l.token, case when l.deadline <= n.now then l.deadline end, l.cancelling, false, n.now
from (select hivelog.now() as now) n, hivelog.sessions s
cross join lateral hivelog.session_leases(s.id) l
where l.deadline <= n.now or l.cancelling is not null
union all
select l.job, l.token, case when l.deadline <= n.now then l.deadline end, l.cancelling, true, n.now
from (select hivelog.now() as now) n, hivelog.leases l
where %(orphans)s and not exists (select from hivelog.sessions s where s.id = l.session)
