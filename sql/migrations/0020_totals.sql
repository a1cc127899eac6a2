-- What happened in all queues together has rows of its own, under the number 0, which no queue has: a chart of
-- fifty queues would read and add up fifty times as many. These are of the rows that were there before; meanwhile
-- nobody folds any more, and whoever does it as the version before did, without them, finds one function gone.
select from hivelog.projections p where p.name = 'jobs' for update;
drop function if exists hivelog.dense_counts(integer[], integer[]);
insert into hivelog.queue_minutes
select 0, c.*, coalesce(s.waits, '{}'), coalesce(s.runs, '{}'), coalesce(s.ended, '{}')
from (
    select m.minute, sum(m.enqueued), sum(m.started), sum(m.completed), sum(m.failed), sum(m.expired),
        sum(m.cancelled), sum(m.lost), sum(m.retried), sum(m.requeued), sum(m.released), sum(m.waited),
        sum(m.wait_ms), sum(m.run_ms)
    from hivelog.queue_minutes m group by m.minute
) c
left join (
    select s.minute, array_agg(s.n order by s.slot) filter (where s.what = 'waits') as waits,
        array_agg(s.n order by s.slot) filter (where s.what = 'runs') as runs,
        array_agg(s.n order by s.slot) filter (where s.what = 'ended') as ended
    from (
        select m.minute, u.what, u.slot, sum(u.n)::integer as n
        from hivelog.queue_minutes m cross join lateral (
            select 'waits' as what, w.slot, w.n from unnest(m.waits) with ordinality w (n, slot)
            union all
            select 'runs', r.slot, r.n from unnest(m.runs) with ordinality r (n, slot)
            union all
            select 'ended', e.slot, e.n from unnest(m.ended_seconds) with ordinality e (n, slot)
        ) u
        group by 1, 2, 3
    ) s
    group by s.minute
) s on s.minute = c.minute;
insert into hivelog.queue_hours
select 0, c.*, coalesce(s.waits, '{}'), coalesce(s.runs, '{}')
from (
    select h.hour, sum(h.enqueued), sum(h.started), sum(h.completed), sum(h.failed), sum(h.expired),
        sum(h.cancelled), sum(h.lost), sum(h.retried), sum(h.requeued), sum(h.released), sum(h.waited),
        sum(h.wait_ms), sum(h.run_ms)
    from hivelog.queue_hours h group by h.hour
) c
left join (
    select s.hour, array_agg(s.n order by s.slot) filter (where s.waits) as waits,
        array_agg(s.n order by s.slot) filter (where not s.waits) as runs
    from (
        select h.hour, u.waits, u.slot, sum(u.n)::integer as n
        from hivelog.queue_hours h cross join lateral (
            select true as waits, w.slot, w.n from unnest(h.waits) with ordinality w (n, slot)
            union all
            select false, r.slot, r.n from unnest(h.runs) with ordinality r (n, slot)
        ) u
        group by 1, 2, 3
    ) s
    group by s.hour
) s on s.hour = c.hour;
