-- A session's heartbeat, and what it must know, in one statement. Parameters: session (uuid), tokens
-- (bigint[], the leases it holds), busy, memory (MiB), blocked
-- (times its event loop stood still). Answers one row, none if the session is over:
-- (cancelling tokens, lost tokens, jobs and tokens of its leases that it does not list though they are
-- older than two heartbeats; without those being cancelled, which the reaper ends).
with held as materialized (
    select l.* from hivelog.sessions s cross join lateral hivelog.session_leases(s.id) l where s.session = %(session)s
), beat as (
    update hivelog.sessions set last_heartbeat = hivelog.now(), busy = %(busy)s, memory_mib = %(memory)s,
        loop_blocked = %(blocked)s, held = array(select h.token from held h order by h.token),
        held_at = (select b.position from hivelog.batches b order by b.position desc limit 1)
    where session = %(session)s
    returning id, heartbeat, last_heartbeat
), listed as (
    select u as token from unnest(%(tokens)s::bigint[]) u
), unlisted as (
    select h.job, h.token from held h, beat b
    where h.token not in (select token from listed) and h.cancelling is null
        and h.started_at < b.last_heartbeat - 2 * make_interval(secs => b.heartbeat)
)
select
    array(select h.token from held h where h.cancelling is not null and h.token in (select token from listed)),
    array(select x.token from listed x where x.token not in (select h.token from held h)),
    array(select u.job from unlisted u order by u.token),
    array(select u.token from unlisted u order by u.token)
from beat b
