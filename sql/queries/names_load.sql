-- All queues with their live settings: (id, name, stream, paused, max_workers, config, position, deleted). A number
-- keeps its name when its queue is deleted; whose name was only minted is no queue yet.
select id, name, stream, paused, max_workers, config, position, deleted from hivelog.queues
where not deleted or position > 0
