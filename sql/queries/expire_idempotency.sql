-- Forgets idempotency keys whose time is over and whose jobs have all ended; one with a live job stays another
-- hour. At most %(limit)s at a time; answers (forgotten, kept).
with due as (
    select i.key, exists (
        select from unnest(i.jobs) j, lateral (
            select e.type, e.data ->> 'to' as "to" from hivelog.events e
            where e.stream = j order by e.version desc limit 1
        ) last
        where last.type not in ('completed', 'failed', 'cancelled', 'expired', 'payload_erased')
            and not (last.type = 'lost' and last."to" <> 'pending')
    ) as live
    from hivelog.idempotency i
    where i.expires_at < (select hivelog.now())
    order by i.expires_at
    limit %(limit)s
), gone as (
    delete from hivelog.idempotency i using due d where i.key = d.key and not d.live returning 1
), kept as (
    update hivelog.idempotency i set expires_at = hivelog.now() + interval '1 hour'
    from due d where i.key = d.key and d.live returning 1
)
select (select count(*) from gone), (select count(*) from kept)
