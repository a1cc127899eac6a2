-- A new one-time code; those that have passed leave by the way.
with gone as (
    delete from hivelog.login_codes where expires_at <= hivelog.now()
)
insert into hivelog.login_codes (hash, name, role, expires_at)
values (%(hash)s, %(name)s, %(role)s, hivelog.now() + make_interval(mins => %(minutes)s))
