-- The `scaled` events of a queue's stream after a version, oldest first: (version, actor's name, data).
-- Parameters: stream, version.
select e.version, a.name, e.data
from hivelog.events e
join hivelog.actors a on a.id = e.actor
where e.stream = %(stream)s and e.version > %(version)s and e.type = 'scaled'
order by e.version
