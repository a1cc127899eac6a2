-- Forgets the terms of jobs that carry nothing any more (erased, or past retention), a slice of the table a call. Of
-- those that are still listed, the end of their id stays.
-- Parameters: after (job id), limit. Answer: the last job looked at; null at the end.
with slice as materialized (
    select s.job from hivelog.search s where s.job > %(after)s::uuid order by s.job limit %(limit)s
), bare as materialized (
    select x.job, exists (select from hivelog.jobs j where j.id = x.job) as listed
    from slice x
    where not exists (select from hivelog.vault v where v.job = x.job and v.slot = 0 and v.token = 0)
), gone as (
    delete from hivelog.search s using bare b where s.job = b.job and not b.listed
), left_over as (
    update hivelog.search s set terms = array_to_tsvector(array['#~' || right(s.job::text, 8)])
    from bare b where s.job = b.job and b.listed and length(s.terms) > 1
)
select max(x.job::text)::uuid from slice x
