-- All queues that there were at a position (%(position)s), by name.
select id, name, paused, config, deleted, position, scaled from hivelog.queues_at(%(position)s)
where not deleted order by name
