-- Every queue as its supervisors see it: (id, name, stream, version of the stream, config, paused, scaled, ready,
-- seconds that the oldest ready job has waited (0: none waits), living sessions of it that run nothing).
select q.id, q.name, q.stream, coalesce(v.version, 0), q.config, q.paused, q.scaled, coalesce(m.ready, 0),
    case when m.ready > 0 then greatest(
        coalesce(date_part('epoch', hivelog.now() - hivelog.oldest_ready(q.id)), 0), 0) else 0 end,
    (select count(*) from hivelog.sessions s where q.name = any (s.queues)
        and not exists (select from hivelog.session_leases(s.id)))
from hivelog.queues q
left join hivelog.streams v on v.stream = q.stream
left join lateral (
    select m.ready from hivelog.queue_marks m where m.queue = q.id order by m.position desc limit 1
) m on true
where not q.deleted
order by q.name
