-- Waiting jobs past their expires_at, but by no more than %(back)s seconds, at most %(limit)s of each table:
-- (source, job, queue, type, priority, due_at, version).
(
    select 'pending', job, queue, type, priority, due_at, version
    from hivelog.pending
    where expires_at <= (select hivelog.now())
        and expires_at > (select hivelog.now() - make_interval(secs => %(back)s))
    order by expires_at limit %(limit)s
)
union all
(
    select 'ready', job, queue, type, priority, null, version
    from hivelog.ready
    where expires_at <= (select hivelog.now())
        and expires_at > (select hivelog.now() - make_interval(secs => %(back)s))
    order by expires_at limit %(limit)s
)
