-- Forgets what else is of days before the edge: depth marks, but the last one of each queue (at most `most` a call),
-- worker sessions that ended, failures of whole hours. Minutes and hours of queues stay. Answers how many marks.
create or replace function hivelog.retention_sweep_rest(most integer) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    at record; gone bigint;
begin
    select r.edge, r.edge_at into at from hivelog.retention r order by r.edge desc limit 1;
    delete from hivelog.queue_marks m using (
        select o.queue, o.position from hivelog.queues q
        cross join lateral (
            select max(x.position) as position from hivelog.queue_marks x
            where x.queue = q.id and x.position <= at.edge
        ) last
        join hivelog.queue_marks o on o.queue = q.id and o.position < last.position
        limit most
    ) old
    where m.queue = old.queue and m.position = old.position;
    get diagnostics gone = row_count;
    delete from hivelog.streams s using hivelog.workers w
    where w.ended_at <= at.edge_at and s.stream = w.session;
    delete from hivelog.workers w where w.ended_at <= at.edge_at;
    delete from hivelog.failures f where f.hour < date_trunc('hour', at.edge_at);
    return gone;
end $$;
