-- (Seconds until something of the waiting jobs falls due (negative: overdue), NULL if nothing does within %(ahead)s
-- seconds; the time now, in seconds since 1970). What was due more than %(back)s seconds ago is not looked at.
select extract(epoch from least(
    (select min(p.due_at) from hivelog.pending p where p.due_at > n.low and p.due_at <= n.high),
    (select min(p.expires_at) from hivelog.pending p where p.expires_at > n.low and p.expires_at <= n.high),
    (select min(r.expires_at) from hivelog.ready r where r.expires_at > n.low and r.expires_at <= n.high)
) - n.now)::float8, extract(epoch from n.now)::float8
from (
    select hivelog.now() as now, hivelog.now() - make_interval(secs => %(back)s) as low,
        hivelog.now() + make_interval(secs => %(ahead)s) as high
    offset 0
) n
