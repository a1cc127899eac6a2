-- The first ready job of each (type, priority) of a queue: one probe of the key a pair, however many jobs wait.
create or replace function hivelog.ready_firsts(
    in_queue smallint, out type integer, out priority smallint, out job uuid, out spec jsonb
) returns setof record language sql stable set enable_seqscan = off as $$
    with recursive firsts as (
        (select r.type, r.priority, r.job, r.spec from hivelog.ready r where r.queue = in_queue
            order by r.type, r.priority desc, r.job limit 1)
        union all
        select n.type, n.priority, n.job, n.spec from firsts f
        cross join lateral (
            select * from (
                (select 1 as turn, r.type, r.priority, r.job, r.spec from hivelog.ready r
                    where r.queue = in_queue and r.type = f.type and r.priority < f.priority
                    order by r.priority desc, r.job limit 1)
                union all
                (select 2, r.type, r.priority, r.job, r.spec from hivelog.ready r
                    where r.queue = in_queue and r.type > f.type
                    order by r.type, r.priority desc, r.job limit 1)
            ) n
            order by n.turn limit 1
        ) n
    )
    select f.type, f.priority, f.job, f.spec from firsts f
$$;
