-- Leases that something is wrong with: (job, token, deadline, cancelling, orphaned, now): past their deadline,
-- being cancelled, or of a session that is over.
select l.job, l.token, case when l.deadline <= n.now then l.deadline end, l.cancelling, s.id is null, n.now
from (select hivelog.now() as now) n, hivelog.leases l
left join hivelog.sessions s on s.id = l.session
where l.deadline <= n.now or l.cancelling is not null or s.id is null
