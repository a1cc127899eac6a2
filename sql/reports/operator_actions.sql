-- Who changed what by hand: not what workers and Hivelog's own duties did.
create or replace view hivelog_reports.operator_actions as
select e.position, e.recorded_at as at, a.name as actor, e.type::text as action, q.name as queue,
    case when e.type <= 'payload_erased' then e.stream end as job_id, e.data
from hivelog.events e
join hivelog.actors a on a.id = e.actor
left join hivelog.queues q on q.id = e.queue
where e.type in ('cancel_requested', 'cancelled', 'requeued', 'rescheduled', 'payload_erased', 'queue_configured',
        'paused', 'resumed', 'drained', 'scaled', 'config_changed', 'session_opened', 'refused', 'token_created',
        'token_revoked', 'keys_rotated', 'action_started', 'action_finished')
    and a.name not like 'worker:%' and a.name not like 'leader%';
