-- What had happened in the minute that ran at a moment of the past, as queue_minutes had it then, from the log and, for
-- how long things took, the rounds. A row for each of these queues in which something had; 0: all together.
create or replace function hivelog.minute_at(in_queues smallint[], at_position bigint, at_time timestamptz)
returns table (queue smallint, enqueued integer, started integer, completed integer, failed integer,
    expired integer, cancelled integer, lost integer, retried integer, waits integer[], runs integer[])
language sql stable rows 50 as $$
    with told as materialized (
        select e.queue, e.type, e.data ->> 'to' as target, hivelog.bucket(round(date_part('epoch', e.recorded_at - (
                select case e.type when 'started' then r.ready_at else r.started_at end from hivelog.rounds r
                where r.job = e.stream and case e.type when 'started' then r.started else r.ended end = e.position
            )) * 1000)) as slot
        from hivelog.events e
        where e.position > (
                select hivelog.position_at(date_trunc('minute', at_time, 'UTC') - interval '1 millisecond'))
            and e.position <= at_position
            and e.type in ('enqueued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled', 'expired', 'lost')
    ), asked as materialized (
        select q.id, t.* from unnest(in_queues) q (id) join told t on q.id in (0, t.queue)
    ), spread as (
        select s.id,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where s.type = 'started'),
                array_agg(s.n) filter (where s.type = 'started')) as waits,
            hivelog.counts_by_slot(array_agg(s.slot) filter (where s.type = 'completed'),
                array_agg(s.n) filter (where s.type = 'completed')) as runs
        from (
            select a.id, a.type, a.slot, count(*)::integer as n from asked a
            where a.type in ('started', 'completed') and a.slot is not null
            group by a.id, a.type, a.slot
        ) s
        group by s.id
    )
    select a.id, count(*) filter (where a.type = 'enqueued')::integer, count(*) filter (where a.type = 'started')::integer,
        count(*) filter (where a.type = 'completed')::integer,
        count(*) filter (where a.type = 'failed' or a.target = 'failed')::integer,
        count(*) filter (where a.type = 'expired')::integer,
        count(*) filter (where a.type = 'cancelled' or a.target = 'cancelled')::integer,
        count(*) filter (where a.type = 'lost')::integer,
        count(*) filter (where a.type = 'retry_scheduled' or a.target = 'pending')::integer,
        coalesce(max(s.waits), '{}'), coalesce(max(s.runs), '{}')
    from asked a left join spread s on s.id = a.id
    group by a.id
$$;
