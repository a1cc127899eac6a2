-- The leases that a living session holds: what is left of those at its last heartbeat, and those it took since. A lease
-- never comes back, and every new one has a higher token, so there are no others. Dead rows are not read (but those of
-- the time since the heartbeat).
create or replace function hivelog.session_leases(in_session integer) returns setof hivelog.leases
language sql stable rows 10 set enable_seqscan = off as $$
    select l.* from hivelog.sessions s
    cross join lateral (
        select x.* from unnest(s.held) h (token)
        cross join lateral (
            select y.* from hivelog.leases y where y.session = s.id and y.session > 0 and y.token = h.token limit 1
        ) x
        union all
        select y.* from hivelog.leases y where y.session = s.id and y.session > 0 and y.token > s.held_at
    ) l
    where s.id = in_session
$$;
