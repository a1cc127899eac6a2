-- Rounds of these queues that waited at a position; `able`: for a worker, not for their time. Each level of each queue
-- is looked up by its index (`offset 0`): a plan for all at once would scan the table.
create or replace function hivelog.waiting_at(in_queues smallint[], at_position bigint)
returns table (job uuid, began bigint, queue smallint, type integer, priority smallint, able boolean)
language sql stable rows 100 as $$
    select r.job, r.began, r.queue, r.type, r.priority, coalesce(r.ready <= at_position, false)
    from unnest(in_queues) q (id)
    cross join (select generate_series(0, 45) as level union all select 63) l
    cross join lateral (
        select x.* from hivelog.rounds x
        where x.queue = q.id and x.wait_level = l.level and x.began <= at_position
            and x.began > hivelog.span_start(l.level, at_position)
            and coalesce(x.started, x.ended, 9223372036854775807) > at_position
        offset 0
    ) r
$$;
-- Rounds of these queues that ran at a position: the leases there were.
create or replace function hivelog.running_at(in_queues smallint[], at_position bigint)
returns table (job uuid, token bigint, queue smallint, type integer, session integer, started_at timestamptz)
language sql stable rows 100 as $$
    select r.job, r.started, r.queue, r.type, r.session, r.started_at
    from unnest(in_queues) q (id)
    cross join (select generate_series(0, 45) as level union all select 63) l
    cross join lateral (
        select x.* from hivelog.rounds x
        where x.queue = q.id and x.run_level = l.level and x.started <= at_position
            and x.started > hivelog.span_start(l.level, at_position)
            and coalesce(x.ended, 9223372036854775807) > at_position
        offset 0
    ) r
$$;
