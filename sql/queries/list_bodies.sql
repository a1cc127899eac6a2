-- What the jobs of a list carry, still sealed: (job, slot, token, kek, salt, wrapped, body). Parameters: jobs, slots.
select job, slot, token, kek, salt, wrapped, body from hivelog.vault
where job = any (%(jobs)s) and slot = any (%(slots)s::smallint[])
