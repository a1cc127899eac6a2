-- Error texts and progress messages of these jobs, still sealed, and what opens them (slot 0, without its
-- body): (job, slot, token, kek, salt, wrapped, body).
select v.job, v.slot, v.token, v.kek, v.salt, v.wrapped, case when v.slot > 0 then v.body end
from hivelog.vault v where v.job = any (%(jobs)s) and v.slot in (0, 2, 3)
