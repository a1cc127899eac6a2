-- Types that wait in a queue and that no living session runs there: (queue, type), at most 20. Goes from type to
-- type by the index.
with recursive t as (
    select q.id as queue, q.name, (
        select min(r.type) from hivelog.ready r where r.queue = q.id
    ) as type
    from hivelog.queues q where not q.deleted
    union all
    select t.queue, t.name, (
        select min(r.type) from hivelog.ready r where r.queue = t.queue and r.type > t.type
    )
    from t where t.type is not null
)
select t.name, j.name from t join hivelog.job_types j on j.id = t.type
where not exists (
    select from hivelog.sessions s where t.name = any (s.queues) and j.name = any (s.types)
)
order by 1, 2 limit 20
