-- The names behind numbers. Parameters: actors, queues (arrays of numbers).
-- Answer: (kind: actor or queue, id, name), in this order.
select 'actor' as kind, a.id::integer, a.name from hivelog.actors a where a.id = any (%(actors)s::integer[])
union all
select 'queue', q.id::integer, q.name from hivelog.queues q where q.id = any (%(queues)s::smallint[])
order by 1, 2
