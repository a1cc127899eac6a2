-- What people and tokens did, as hivelog_reports.operator_actions has it, newest first: columns as read_after.
-- Parameters: after and before (positions, neither included), types, queues, actor (null: any), limit. The first
-- condition on the type is that of the index events_operator.
select e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.queue, e.attempt, e.body_size,
    e.correlation, e.data
from hivelog.events e
where e.position > %(after)s and e.position < %(before)s
    and e.type in ('cancel_requested', 'cancelled', 'requeued', 'rescheduled', 'payload_erased', 'queue_configured',
        'paused', 'resumed', 'drained', 'scaled', 'config_changed', 'session_opened', 'refused', 'token_created',
        'token_revoked', 'keys_rotated', 'action_started', 'action_finished')
    and not exists (
        select from hivelog.actors a where a.id = e.actor and (a.name like 'worker:%%' or a.name like 'leader%%'))
    and (%(types)s::text[] is null or e.type::text = any (%(types)s))
    and (%(queues)s::smallint[] is null or e.queue = any (%(queues)s))
    and (%(actor)s::integer is null or e.actor = %(actor)s)
order by e.position desc
limit %(limit)s
