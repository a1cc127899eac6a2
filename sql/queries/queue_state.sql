-- One queue by name, deleted or not, with the version of its stream:
-- (id, name, stream, config, paused, deleted, version, position).
select q.id, q.name, q.stream, q.config, q.paused, q.deleted, coalesce(s.version, 0), q.position
from hivelog.queues q
left join hivelog.streams s on s.stream = q.stream
where q.name = %(name)s
