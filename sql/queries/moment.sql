-- A moment of the past: of a position (%(position)s), or else of a time (%(at)s).
-- Answer: one row (head: the log's end, present: its clock, edge: the first position that all is kept from, gone:
-- whether the moment lies before it, position, now: what the clock said then). position and now are null where there
-- is no such position. The minute in which retention's edge lies is gone as a whole: figures of a minute that ran
-- are made from all that ended in it.
with ends as materialized (
    select b.position as head, greatest(hivelog.now(), b.recorded_at) as present,
        coalesce(r.edge + 1, 1) as edge, r.edge_at
    from (select * from hivelog.batches order by position desc limit 1) b
    left join lateral (select * from hivelog.retention order by edge desc limit 1) r on true
), found as (
    select x.*, coalesce(e.recorded_at, case when %(position)s::bigint is null then %(at)s::timestamptz end) as now,
        coalesce(e.position,
            case when %(position)s::bigint is null then hivelog.position_at(%(at)s::timestamptz) end) as position
    from ends x
    left join hivelog.events e on e.position = %(position)s::bigint
)
select f.head, f.present, f.edge,
    f.position is null or f.edge > 1 and (f.position < f.edge
        or date_trunc('minute', f.now, 'UTC') <= date_trunc('minute', f.edge_at, 'UTC')),
    f.position, f.now
from found f
