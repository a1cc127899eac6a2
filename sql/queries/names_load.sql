-- All queues with their live settings: (id, name, stream, paused, max_workers, config, position).
select id, name, stream, paused, max_workers, config, position from hivelog.queues where not deleted
