-- A new session; those that have ended leave by the way.
with gone as (
    delete from hivelog.logins where expires_at <= hivelog.now() or idle_until <= hivelog.now()
)
insert into hivelog.logins (hash, name, role, created_at, idle_until, expires_at)
values (%(hash)s, %(name)s, %(role)s, hivelog.now(),
    hivelog.now() + make_interval(hours => %(idle_hours)s), hivelog.now() + make_interval(days => %(days)s))
