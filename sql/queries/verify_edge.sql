-- How far the log's beginning is gone, by the database's own word: (edge, whether an event after it announces this,
-- what the event that ends it says was carried, or null). The events are under seals like any other.
-- Parameters: system (the stream of what belongs to no job, queue or session).
select r.edge,
    exists (
        select from hivelog.events e
        where e.stream = %(system)s and e.type = 'action_started' and e.position > r.edge
            and e.data ->> 'action' = 'retention' and e.data ->> 'position' = r.edge::text),
    (select e.data -> 'detail' from hivelog.events e
        where e.stream = %(system)s and e.type = 'action_finished' and e.position > r.edge
            and e.data -> 'detail' ->> 'edge' = r.edge::text
        order by e.position desc limit 1)
from hivelog.retention r order by r.edge desc limit 1
