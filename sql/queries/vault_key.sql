-- What opens a job's bodies: (salt, kek, wrapped) of its slot 0; no row once the payload was erased.
select salt, kek, wrapped from hivelog.vault where job = %(job)s and slot = 0 and token = 0
