-- All queues that there were at a position (%(position)s), by name; with %(deleted)s those too that were deleted by then.
select id, name, paused, config, deleted, position, scaled from hivelog.queues_at(%(position)s)
where %(deleted)s or not deleted order by name
