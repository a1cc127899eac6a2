-- What Redis must hold of the jobs touched after position `after`, as of the head, in one snapshot.
--
-- Answers head, epoch, and, unless more than `far` events lie between (then all arrays are NULL):
-- a_*  ids that are ready, by (queue, type, priority), 16 bytes each, joined
-- d_*  ids that are not, by queue
-- q_*  every queue: running (NULL: never used), paused, max_workers (NULL: no limit)
--
-- A STABLE function sees the snapshot of the statement that calls it. Nested loops are off for what joins the touched
-- with the live ones: both may be tens of thousands.
create or replace function hivelog.feed_state(
    after bigint, far bigint, out head bigint, out epoch integer,
    out a_queue smallint[], out a_type integer[], out a_priority smallint[], out a_jobs bytea[],
    out d_queue smallint[], out d_jobs bytea[],
    out q_queue smallint[], out q_running integer[], out q_paused boolean[], out q_max integer[]
) language sql stable set enable_nestloop = off as $$
    with last as materialized (
        select b.position, b.epoch, b.position - after <= far as near
        from hivelog.batches b order by b.position desc limit 1
    ), touched as materialized (
        select distinct e.stream, e.queue from hivelog.events e
        where (select l.near from last l) and e.queue is not null
            and e.position > after and e.position <= (select l.position from last l)
    ), kinds as materialized (
        select q.queue, f.type, f.priority
        from (select distinct t.queue from touched t) q cross join lateral hivelog.ready_firsts(q.queue) f
    ), given as materialized (
        select t.*, k.*, t.number * k.number <= 20000 as few
        from (select array_agg(queue) as t_queue, array_agg(stream) as t_job, count(*) as number from touched) t,
            (select array_agg(queue) as k_queue, array_agg(type) as k_type, array_agg(priority) as k_priority,
                count(*) as number from kinds) k
    ), live as materialized (
        select l.* from given g
        cross join lateral hivelog.feed_live_few(g.t_queue, g.t_job, g.k_queue, g.k_type, g.k_priority) l
        where g.few
        union all
        select l.* from given g cross join lateral hivelog.feed_live_many(g.t_queue, g.t_job) l
        where not g.few
    ), adds as (
        select l.queue, l.type, l.priority, string_agg(uuid_send(l.job), '') as jobs
        from live l group by l.queue, l.type, l.priority
    ), dels as (
        select t.queue, string_agg(uuid_send(t.stream), '') as jobs
        from touched t left join live l on l.job = t.stream
        where l.job is null group by t.queue
    )
    select l.position, l.epoch, a.*, d.*, q.*
    from last l,
        (select array_agg(x.queue), array_agg(x.type), array_agg(x.priority), array_agg(x.jobs)
            from adds x) a,
        (select array_agg(x.queue), array_agg(x.jobs) from dels x) d,
        lateral (select array_agg(x.queue), array_agg(x.running), array_agg(x.paused), array_agg(x.max_workers)
            from hivelog.feed_queues() x where l.near) q
$$;
