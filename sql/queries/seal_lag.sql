-- How far seals are behind the log: positions, seconds since the oldest event without a seal (null: none), and the
-- last seal's position and time (0 and null before the first).
select b.position - coalesce(s.position, 0),
    extract(epoch from hivelog.now() - e.recorded_at)::float8, coalesce(s.position, 0), s.sealed_at
from (select * from hivelog.batches order by position desc limit 1) b
left join lateral (select * from hivelog.seals order by position desc limit 1) s on true
left join lateral (
    select e.recorded_at from hivelog.events e where e.position = coalesce(s.position, 0) + 1
) e on true
