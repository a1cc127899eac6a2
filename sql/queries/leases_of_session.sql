-- The leases of one session: (job, token).
select job, token from hivelog.leases where session = %(session)s order by token
