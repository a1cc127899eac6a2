-- Forgets the terms of jobs that carry nothing any more (erased, or past retention), a slice of the table a call.
-- Parameters: after (job id), limit. Answer: the last job looked at; null at the end.
with slice as materialized (
    select s.job from hivelog.search s where s.job > %(after)s::uuid order by s.job limit %(limit)s
), gone as (
    delete from hivelog.search s using slice x
    where s.job = x.job and not exists (
        select from hivelog.vault v where v.job = x.job and v.slot = 0 and v.token = 0)
)
select max(x.job::text)::uuid from slice x
