-- The types and priorities of which queue %(queue)s has ready jobs, by hops over the index: (type, priority).
with recursive hop as (
    (
        select type, priority from hivelog.ready where queue = %(queue)s
        order by type, priority desc limit 1
    )
    union all
    select n.type, n.priority from hop h, lateral (
        (
            select r.type, r.priority from hivelog.ready r
            where r.queue = %(queue)s and r.type = h.type and r.priority < h.priority
            order by r.priority desc limit 1
        )
        union all
        (
            select r.type, r.priority from hivelog.ready r
            where r.queue = %(queue)s and r.type > h.type
            order by r.type, r.priority desc limit 1
        )
        limit 1
    ) n
)
select type, priority from hop
