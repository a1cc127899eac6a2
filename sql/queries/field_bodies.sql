-- Payloads of jobs, still sealed: (job, slot, kek, salt, wrapped, body), body null where it is larger than most (bytes).
-- Parameters: jobs, most, position (of the past: the payload that a job had then; null: now).
select p.job, coalesce(f.slot, p.slot), p.kek, p.salt, p.wrapped,
    case when octet_length(coalesce(f.body, p.body)) <= %(most)s then coalesce(f.body, p.body) end
from hivelog.vault p
left join lateral (
    -- Kept when a later one took its place, under the position at which that happened.
    select v.slot, v.body from hivelog.vault v
    where v.job = p.job and v.slot = 5 and v.token > %(position)s::bigint
    order by v.token limit 1
) f on true
where p.job = any (%(jobs)s::uuid[]) and p.slot = 0
