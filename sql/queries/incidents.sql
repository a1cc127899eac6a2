-- What a time bar marks: what people did to queues, workers that came and went, bursts of failed attempts.
-- Parameters: since, until, queues (numbers), limit; position and moment (a moment of the past, of which is told what it
-- knew; null: now).
-- Answer: (kind, at, until, queue, count, actor, position), oldest first; kind: paused resumed drained configured,
-- workers_started workers_lost (in the same minute: a deploy, a host that went), failures (a burst).
--
-- A burst: minutes with at least five attempts that went wrong, and three times as many as a minute of the hour
-- before had on average; such minutes in a row are one.
with acts as (
    select case e.type when 'queue_configured' then 'configured' else e.type::text end as kind, e.recorded_at as at,
        null::timestamptz as until, q.name as queue, 1 as count, a.name as actor, e.position
    from hivelog.queues q
    join hivelog.events e on e.stream = q.stream and e.type in ('paused', 'resumed', 'drained', 'queue_configured')
    join hivelog.actors a on a.id = e.actor
    where q.id = any (%(queues)s::smallint[]) and e.recorded_at >= %(since)s and e.recorded_at < %(until)s
        and (%(position)s::bigint is null or e.position <= %(position)s)
), sessions as (
    select w.started_at as at, 'workers_started' as kind from hivelog.workers w
    where w.started_at >= %(since)s and w.started_at < %(until)s
        and (%(position)s::bigint is null or exists (
            select from hivelog.events e
            where e.stream = w.session and e.type = 'worker_started' and e.position <= %(position)s))
        and exists (select from hivelog.queues q where q.id = any (%(queues)s::smallint[]) and q.name = any (w.queues))
    union all
    select w.ended_at, 'workers_lost' from hivelog.workers w
    where w.ended_by = 'lost' and w.ended_at >= %(since)s and w.ended_at < %(until)s
        and (%(position)s::bigint is null or exists (
            select from hivelog.events e
            where e.stream = w.session and e.type = 'worker_lost' and e.position <= %(position)s))
        and exists (select from hivelog.queues q where q.id = any (%(queues)s::smallint[]) and q.name = any (w.queues))
), deploys as (
    select s.kind, min(s.at) as at, max(s.at) as until, null::text as queue, count(*)::integer as count,
        null::text as actor
    from sessions s group by s.kind, date_trunc('minute', s.at, 'UTC')
), minutes as (
    select m.queue, m.minute, m.failed + m.expired + m.lost + m.retried as bad
    from hivelog.queue_minutes m
    where m.queue = any (%(queues)s::smallint[])
        and m.minute >= %(since)s::timestamptz - interval '1 hour' and m.minute < %(until)s
        and (%(moment)s::timestamptz is null or m.minute < date_trunc('minute', %(moment)s::timestamptz, 'UTC'))
    union all
    -- The minute that ran, as far as it had come.
    select r.queue, date_trunc('minute', %(moment)s::timestamptz, 'UTC'), r.failed + r.expired + r.lost + r.retried
    from hivelog.minute_at(%(queues)s::smallint[], %(position)s::bigint, %(moment)s::timestamptz) r
    where %(position)s::bigint is not null
        and date_trunc('minute', %(moment)s::timestamptz, 'UTC') >= %(since)s::timestamptz - interval '1 hour'
        and date_trunc('minute', %(moment)s::timestamptz, 'UTC') < %(until)s
), rated as (
    select m.*, sum(m.bad) over (partition by m.queue order by m.minute
        range between interval '60 minutes' preceding and interval '1 minute' preceding) / 60.0 as usual
    from minutes m
), bursts as (
    select r.*, r.minute - interval '1 minute' * row_number() over (partition by r.queue order by r.minute) as island
    from rated r
    where r.bad >= 5 and r.bad > 3 * coalesce(r.usual, 0) and r.minute >= date_trunc('minute', %(since)s::timestamptz)
), failures as (
    select 'failures' as kind, min(b.minute) as at, max(b.minute) + interval '1 minute' as until, q.name as queue,
        sum(b.bad)::integer as count, null::text as actor
    from bursts b join hivelog.queues q on q.id = b.queue
    group by q.name, b.island
)
select x.* from (
    select a.* from acts a
    union all
    select d.*, null from deploys d
    union all
    select f.*, null from failures f
) x
order by x.at, x.kind limit %(limit)s
