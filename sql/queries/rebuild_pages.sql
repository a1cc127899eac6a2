-- All ready ids by (queue, type, priority), in pieces of at most 2,000 ids of 16 bytes each, joined.
select p.queue, p.type, p.priority, string_agg(uuid_send(p.job), '') as jobs
from (
    select r.queue, r.type, r.priority, r.job,
        (row_number() over (order by r.queue, r.type, r.priority desc, r.job) - 1) / 2000 as page
    from hivelog.ready r
) p
group by p.page, p.queue, p.type, p.priority
