-- Payload and error texts of jobs, still sealed: (job, slot, token, kek, salt, wrapped, body), payload first,
-- then the newest errors. Parameters: jobs, most (bytes; body is null for what is larger).
select v.job, v.slot, v.token, v.kek, v.salt, v.wrapped,
    case when octet_length(v.body) <= %(most)s then v.body end
from hivelog.vault v
where v.job = any (%(jobs)b::uuid[]) and v.slot in (0, 2)
order by v.job, v.slot, v.token desc
