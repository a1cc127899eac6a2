-- Types that wait in a queue and that no living session runs there: (queue, type), at most 20. Goes from type to
-- type by the index, in queues where the marks say that something is ready: elsewhere `ready` may be full of dead rows.
with recursive t as (
    select q.id as queue, q.name, (
        select min(r.type) from hivelog.ready r where r.queue = q.id
    ) as type
    from hivelog.queues q
    cross join lateral (
        select m.ready from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
    ) m
    where not q.deleted and m.ready > 0
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
