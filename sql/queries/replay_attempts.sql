-- What waited and ran in a queue during a window of the log, a row a wait, by job and time.
-- Parameters: queue, low and high (positions, see replay_edges), origin (a time).
-- Answer: (n: 1 for the first wait of a job's whole life, priority, ready, started, out, returns, released). Times
-- in ms since origin, null: not (yet). out: the end of the run, or, where it was not started, when it stopped
-- waiting; returns: afterwards the job waits again by itself (retry, lost); released: it waits because it was.
--
-- The window is read once, in order. Jobs that were alive at one of its edges (few) are read whole, beside it.
with span as materialized (
    select e.stream, e.version, e.type, e.recorded_at as at,
        case when e.type in ('enqueued', 'rescheduled') then e.data ->> 'priority' end as priority,
        case when e.type = 'enqueued' then e.data ->> 'scheduled_for' end as due,
        case when e.type in ('rescheduled', 'lost') then e.data ->> 'to' end as target
    from hivelog.events e
    where e.position > %(low)s and e.position <= %(high)s and e.queue = %(queue)s
        and e.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled',
            'expired', 'lost', 'released', 'requeued', 'rescheduled')
), strays as (
    select s.stream from span s group by s.stream
    having min(s.version) > 1 or max(s.version) is distinct from max(s.version) filter (
        where s.type in ('completed', 'failed', 'cancelled', 'expired'))
    union
    select j.id from hivelog.jobs j
    where j.queue = %(queue)s and j.enqueued <= %(low)s
        and (j.position > %(high)s or j.status in ('pending', 'queued', 'processing'))
), beside as (
    select e.stream, e.version, e.type, e.recorded_at as at,
        case when e.type in ('enqueued', 'rescheduled') then e.data ->> 'priority' end as priority,
        case when e.type = 'enqueued' then e.data ->> 'scheduled_for' end as due,
        case when e.type in ('rescheduled', 'lost') then e.data ->> 'to' end as target
    from strays s
    join hivelog.events e on e.stream = s.stream
    where (e.position <= %(low)s or e.position > %(high)s) and e.queue = %(queue)s
        and e.type in ('enqueued', 'queued', 'started', 'completed', 'retry_scheduled', 'failed', 'cancelled',
            'expired', 'lost', 'released', 'requeued', 'rescheduled')
), marked as (
    select x.stream, x.version, x.type, x.at, x.priority::integer as priority,
        case x.type
            when 'enqueued' then x.due is null or x.due::timestamptz <= x.at
            when 'rescheduled' then coalesce(x.target, '') = 'ready'
            else x.type in ('queued', 'released', 'requeued') end as opens,
        case x.type
            when 'rescheduled' then coalesce(x.target, '') = 'pending'
            else x.type not in ('enqueued', 'queued', 'released', 'requeued', 'started') end as closes,
        x.type = 'retry_scheduled' or x.type = 'lost' and x.target = 'pending' as returns
    from (select * from span union all select * from beside) x
), numbered as (
    select m.*, count(*) filter (where m.opens) over (partition by m.stream order by m.version) as n
    from marked m
), waits as (
    select w.stream, w.n,
        -- The newest priority, as one number with its version: cheaper than to sort for it.
        max(w.version::bigint * 65536 + w.priority) filter (where w.priority is not null) %% 65536 as priority,
        min(w.at) filter (where w.opens) as ready,
        min(w.at) filter (where w.type = 'started') as started,
        min(w.at) filter (where w.closes) as out,
        bool_or(w.returns) as returns, bool_or(w.type = 'released') as released
    from numbered w
    group by w.stream, w.n
)
select w.n, w.priority::integer,
    round(date_part('epoch', w.ready - %(origin)s::timestamptz) * 1000)::bigint,
    round(date_part('epoch', w.started - %(origin)s::timestamptz) * 1000)::bigint,
    round(date_part('epoch', w.out - %(origin)s::timestamptz) * 1000)::bigint,
    w.returns, w.released
from waits w
order by w.stream, w.n
