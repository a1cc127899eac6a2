-- What Redis must hold of the jobs touched after position `after`, as of the head, in one snapshot.
--
-- Answers head, epoch, and, unless it is too much to look up (then all arrays are NULL: more than `far` events lie
-- between, or `far / 20` of the jobs are older and need a look at their stories):
-- a_*  ids that are ready, by (queue, type, priority), 16 bytes each, joined
-- d_*  ids that are not, by queue
-- q_*  every queue: running (NULL: never used), paused, max_workers (NULL: no limit)
--
-- A job is looked up in `ready` by its whole key, which the log tells: what else the table holds, and beside an old
-- snapshot that is mostly dead rows, is not read. A STABLE function sees the snapshot of the statement that calls it.
create or replace function hivelog.feed_state(
    after bigint, far bigint, out head bigint, out epoch integer,
    out a_queue smallint[], out a_type integer[], out a_priority smallint[], out a_jobs bytea[],
    out d_queue smallint[], out d_jobs bytea[],
    out q_queue smallint[], out q_running integer[], out q_paused boolean[], out q_max integer[]
) language sql stable set enable_nestloop = off as $$
    with last as materialized (
        select b.position, b.epoch, b.position - after <= far as near
        from hivelog.batches b order by b.position desc limit 1
    ), batch as materialized (
        select e.stream, e.queue, e.version, e.type, e.data from hivelog.events e
        where (select l.near from last l) and e.queue is not null
            and e.position > after and e.position <= (select l.position from last l)
    ), touched as materialized (
        -- `maybe`: by its last event it may be ready; `spec`: of its first event, if that is among these.
        select b.stream, b.queue,
            max(b.version) = max(b.version) filter (where b.type in ('enqueued', 'queued', 'released', 'requeued',
                'rescheduled', 'routed', 'payload_erased')) as maybe,
            (array_agg(b.data) filter (where b.type = 'enqueued'))[1] as spec
        from batch b group by b.stream, b.queue
    ), moved as (
        select distinct on (b.stream) b.stream, (b.data ->> 'priority')::smallint as priority
        from batch b where b.type = 'rescheduled' and b.data ? 'priority'
        order by b.stream, b.version desc
    ), reach as materialized (
        select l.position, l.epoch,
            l.near and (select count(*) from touched t where t.maybe and t.spec is null) <= far / 20 as near
        from last l
    ), candidates as materialized (
        select t.stream, t.queue, y.id as type, coalesce(m.priority, (t.spec ->> 'priority')::smallint) as priority
        from touched t
        join hivelog.job_types y on y.name = t.spec ->> 'type'
        left join moved m on m.stream = t.stream
        where t.maybe and (select r.near from reach r)
        union all
        select t.stream, t.queue, k.type, k.priority
        from touched t cross join lateral hivelog.job_key(t.stream) k
        where t.maybe and t.spec is null and (select r.near from reach r)
    ), given as (
        select array_agg(c.queue) as queue, array_agg(c.type) as type, array_agg(c.priority) as priority,
            array_agg(c.stream) as job
        from candidates c
    ), live as materialized (
        select l.* from given g cross join lateral hivelog.feed_live(g.queue, g.type, g.priority, g.job) l
    ), adds as (
        select l.queue, l.type, l.priority, string_agg(uuid_send(l.job), '') as jobs
        from live l group by l.queue, l.type, l.priority
    ), dels as (
        select t.queue, string_agg(uuid_send(t.stream), '') as jobs
        from touched t left join live l on l.job = t.stream
        where l.job is null and (select r.near from reach r) group by t.queue
    )
    select r.position, r.epoch, a.*, d.*, q.*
    from reach r
    cross join (select array_agg(x.queue), array_agg(x.type), array_agg(x.priority), array_agg(x.jobs)
        from adds x) a
    cross join (select array_agg(x.queue), array_agg(x.jobs) from dels x) d
    left join lateral (
        select coalesce(array_agg(x.queue), '{}'), coalesce(array_agg(x.running), '{}'),
            coalesce(array_agg(x.paused), '{}'), coalesce(array_agg(x.max_workers), '{}')
        from hivelog.feed_queues() x
    ) q on r.near
$$;
