-- Long commands by the system's stream (%(stream)s): one (%(action)s) or, where that is NULL, those of
-- %(kinds)s that have not finished: (action_id, action, queue, position, matched, filter, actor, started at, finished
-- at, changed, refused, position of action_started, position of action_finished).
select s.data ->> 'action_id', s.data ->> 'action', s.queue, (s.data ->> 'position')::bigint,
    (s.data ->> 'matched')::integer, s.data -> 'filter', s.actor, s.recorded_at, f.recorded_at,
    coalesce((f.data ->> 'changed')::integer, 0), coalesce((f.data ->> 'refused')::integer, 0),
    s.position, f.position
from hivelog.events s
left join hivelog.events f on f.stream = s.stream and f.type = 'action_finished'
    and f.data ->> 'action_id' = s.data ->> 'action_id'
where s.stream = %(stream)s and s.type = 'action_started'
    and case when %(action)s::text is null
        then f.position is null and s.data ->> 'action' = any (%(kinds)s::text[])
        else s.data ->> 'action_id' = %(action)s end
order by s.position
