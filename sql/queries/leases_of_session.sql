-- The leases of one living session: (job, token).
select job, token from hivelog.session_leases(%(session)s) order by token
