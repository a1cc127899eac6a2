-- The leases of one session (its number) that these tokens name, with all that their worker needs: (job, token,
-- queue, session, attempt, retry, priority, spec, salt, kek, wrapped, body, started_at, cancelling, now).
select l.job, l.token, l.queue, l.session, l.attempt, l.retry, l.priority, f.data, v.salt, v.kek, v.wrapped, v.body,
    l.started_at, l.cancelling is not null, hivelog.now()
from unnest(%(tokens)s::bigint[]) t (token)
join hivelog.events s on s.position = t.token and s.type = 'started'
cross join lateral (
    select * from hivelog.leases x where x.job = s.stream and x.token = t.token and x.session = %(session)s
    limit 1  -- so that each is looked up: where dead rows are many, reading all of it looks cheap
) l
join hivelog.events f on f.stream = l.job and f.version = 1
left join hivelog.vault v on v.job = l.job and v.slot = 0 and v.token = 0
order by l.token
