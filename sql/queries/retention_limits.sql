-- What retention may not go beyond: (now, the log's head, the edge (0: nothing is gone), the last seal's position,
-- positions of what reads the log as {name: position}, unfinished tables of an earlier run).
select hivelog.now(), (select b.position from hivelog.batches b order by b.position desc limit 1),
    coalesce((select max(r.edge) from hivelog.retention r), 0),
    coalesce((select max(s.position) from hivelog.seals s), 0),
    (select jsonb_object_agg(r.name, r.position) from (
        select case when p.live then p.name else p.name || ' (rebuild)' end as name, min(c.position) as position
        from hivelog.projections p cross join lateral hivelog.checkpoint(p.name, p.generation) c group by 1
        union all select 'search', s.position from hivelog.search_state s
    ) r),
    (select coalesce(array_agg(c.relname::text order by c.relname), '{}') from pg_class c
        where c.relnamespace = 'hivelog'::regnamespace and c.relkind = 'r' and c.relname ~ '^events_gone_')
