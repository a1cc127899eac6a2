-- How far the log's beginning is gone: (edge: 0 when all of it is here, the last seal before it, when the event at the
-- edge was recorded, when the first event after it was: null in an empty log, now).
select coalesce(r.edge, 0), coalesce(r.sealed_edge, 0), r.edge_at,
    (select e.recorded_at from hivelog.events e where e.position > coalesce(r.edge, 0) order by e.position limit 1),
    hivelog.now()
from (select) one
left join lateral (select * from hivelog.retention order by edge desc limit 1) r on true
