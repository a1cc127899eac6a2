-- Whose session has this hash: (name, role). Its idle time starts over, written at most once a minute.
with found as (
    select l.hash, l.name, l.role, l.idle_until from hivelog.logins l
    where l.hash = %(hash)s and l.idle_until > hivelog.now() and l.expires_at > hivelog.now()
), kept as (
    update hivelog.logins l set idle_until = hivelog.now() + make_interval(hours => %(idle_hours)s)
    from found f
    where l.hash = f.hash
        and f.idle_until < hivelog.now() + make_interval(hours => %(idle_hours)s) - interval '1 minute'
)
select name, role from found
