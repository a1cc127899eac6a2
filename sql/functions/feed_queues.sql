-- The live settings and running counts that Redis keeps of each queue (running NULL: never used).
create or replace function hivelog.feed_queues(
    out queue smallint, out running integer, out paused boolean, out max_workers integer
) returns setof record language sql stable as $$
    select q.id, m.running, q.paused or q.deleted, q.max_workers
    from hivelog.queues q
    left join lateral (
        select m.running from hivelog.queue_marks m where m.queue = q.id
        order by m.position desc limit 1
    ) m on true
$$;
