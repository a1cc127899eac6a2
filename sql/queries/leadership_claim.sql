-- Take or renew the leases of some duties (%(duties)s text[]) for %(seconds)s: those that are free, over,
-- or ours already. Answers the ones that %(holder)s has now: (duty, term). A term grows with each new holder.
insert into hivelog.leadership as l (duty, holder, term, expires_at)
select u, %(holder)s, 1, hivelog.now() + make_interval(secs => %(seconds)s)
from unnest(%(duties)s::text[]) u order by u
on conflict (duty) do update set
    holder = excluded.holder,
    term = l.term + case when l.holder = excluded.holder then 0 else 1 end,
    expires_at = excluded.expires_at
where l.holder = excluded.holder or l.expires_at <= hivelog.now()
returning duty, term
