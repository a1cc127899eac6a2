-- Redis is away: chooses ready jobs in key order (priority, then age) for each pick, under the lock.
-- picks: [{session, queue, types, limit}]; never more than the queue has room for, which is less than none
-- where its limit was lowered below what runs.
create or replace function hivelog.append_picks(
    picks jsonb, t timestamptz, d_queue smallint[], d_running integer[]
) returns table (session integer, queue smallint, type integer, priority smallint, job uuid)
language plpgsql volatile as $$
#variable_conflict use_column
declare
    p record; r record; room bigint; taken uuid[] := '{}';
begin
    for p in
        select * from jsonb_to_recordset(picks)
            x (session integer, queue smallint, types integer[], "limit" integer)
    loop
        select q.max_workers - coalesce((select m.running from hivelog.queue_marks m
                where m.queue = q.id order by m.position desc limit 1), 0)
            - coalesce((select sum(d.running) from unnest(d_queue, d_running) d (queue, running)
                where d.queue = q.id), 0)
        into room from hivelog.queues q where q.id = p.queue and not q.paused;
        continue when not found;
        for r in
            select p.session, c.* from unnest(p.types) as w (type), lateral (
                select y.queue, y.type, y.priority, y.job from hivelog.ready y
                where y.queue = p.queue and y.type = w.type
                    and (y.expires_at is null or y.expires_at > t) and y.job <> all (taken)
                order by y.priority desc, y.job limit p.limit
            ) c
            order by c.priority desc, c.job limit greatest(least(p.limit, room), 0)
        loop
            taken := taken || r.job;
            session := r.session; queue := r.queue; type := r.type; priority := r.priority; job := r.job;
            return next;
        end loop;
    end loop;
end $$;
