-- All that a job carries, still sealed: (slot, token, kek, salt, wrapped, body).
select slot, token, kek, salt, wrapped, body from hivelog.vault where job = %(job)s
