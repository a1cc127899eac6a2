-- Which key-encryption keys wrap how many data keys: those of jobs, and of queues that have bodies.
-- Reads the whole vault; for people who ask.
-- Answer: kek (number), fingerprint, rows; the oldest key first, also those that wrap nothing any more.
select k.id, k.fingerprint, coalesce(v.rows, 0)
from hivelog.keks k
left join (
    select v.kek, count(*) as rows from hivelog.vault v
    where v.slot = 0 and v.token = 0 and v.kek is not null
    group by v.kek
) v on v.kek = k.id
order by k.id
