-- The numbers of the actors and of the queues that the events in first..last name: (actors, queues), null for none.
-- Parameters: first, last.
select array_agg(distinct x.actor), array_agg(distinct x.queue) filter (where x.queue is not null)
from (
    select e.actor, e.queue from hivelog.events e where e.position between %(first)s and %(last)s
    group by e.actor, e.queue
) x
