-- Jobs whose data key is wrapped by another key-encryption key than this one, in order of their ids.
-- Parameters: kek (number), after (job id; only later ones), limit.
-- Answer: job, kek, wrapped.
select v.job, v.kek, v.wrapped
from hivelog.vault v
where v.slot = 0 and v.token = 0 and v.job > %(after)s::uuid and v.kek <> %(kek)s
order by v.job
limit %(limit)s
