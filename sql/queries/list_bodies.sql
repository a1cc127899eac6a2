-- What the jobs of a list carry, still sealed: (job, slot, token, kek, salt, wrapped, body).
select job, slot, token, kek, salt, wrapped, body from hivelog.vault
where job = any (%(jobs)s) and slot in (0, 1, 2, 3)
