-- Payloads and results of jobs, still sealed: (job, slot, kek, salt, wrapped, body). Parameters: jobs, bodies (false:
-- only what tells whether they could be opened; body is null then, and results are left out).
select v.job, v.slot, v.kek, v.salt, v.wrapped, case when %(bodies)s then v.body end
from hivelog.vault v
where v.job = any (%(jobs)s::uuid[]) and (v.slot = 0 and v.token = 0 or %(bodies)s and v.slot = 1)
order by v.job, v.slot, v.token
