-- Narrows wanted starts to what may start now, under the lock: paused queues, exact max_workers, living
-- sessions, expiry and the byte budget. Refusals name their ordinal and one of: not_ready (Redis was
-- wrong: drop the id), expired, session_lost, paused, limit, budget (the last three: give it back).
-- Only the first `named` ordinals are reported; the rest were picked here, not asked for by id. Answers s_job
-- with NULL for what may not start, so that ordinals stay what they are.
create or replace function hivelog.append_start_filter(
    s_session integer[], s_queue smallint[], s_type integer[], s_priority smallint[],
    in out s_job uuid[], s_bytes bigint, named integer,
    d_queue smallint[], d_running integer[], t timestamptz,
    out refused_n integer[], out refused_code text[]
) language plpgsql stable as $$
#variable_conflict use_column
begin
    with want as (
        select * from unnest(s_session, s_queue, s_type, s_priority, s_job) with ordinality
            u (session, queue, type, priority, job, n)
    ), gate as materialized (
        select w.queue, x.paused or x.deleted as paused, x.max_workers - coalesce(m.running, 0) - coalesce((
            select sum(d.running) from unnest(d_queue, d_running) d (queue, running)
            where d.queue = w.queue), 0) as room
        from (select distinct queue from want) w
        join hivelog.queues x on x.id = w.queue
        left join lateral (
            select m.running from hivelog.queue_marks m where m.queue = w.queue
            order by m.position desc limit 1
        ) m on true
    ), known as (
        select w.*, r.size, g.room, case
            when r.job is null or g.queue is null then 'not_ready'
            when not exists (select from hivelog.sessions x where x.id = w.session) then 'session_lost'
            when r.expires_at <= t then 'expired'
            when g.paused then 'paused' end as code
        from want w
        left join gate g on g.queue = w.queue
        left join hivelog.ready r on r.queue = any (array[w.queue]) and r.type = w.type
            and r.priority = w.priority and r.job = w.job
    ), ranked as (
        select k.*,
            count(*) filter (where k.code is null) over (partition by k.queue order by k.n) as rank
        from known k
    ), weighed as (
        select r.*, coalesce(r.code, case when r.rank > r.room then 'limit' end) as verdict,
            sum(r.size) filter (where r.code is null and (r.room is null or r.rank <= r.room))
                over (order by r.n) as bytes
        from ranked r
    ), judged as (
        select w.*, coalesce(w.verdict, case when w.bytes > s_bytes and w.bytes > w.size then 'budget' end)
            as final
        from weighed w
    )
    select array_agg(case when j.final is null then j.job end order by j.n),
        array_agg(j.n::integer order by j.n) filter (where j.final is not null and j.n <= named),
        array_agg(j.final order by j.n) filter (where j.final is not null and j.n <= named)
    into s_job, refused_n, refused_code
    from judged j;
end $$;
