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

comment on view hivelog_reports.operator_actions is 'Who changed what by hand: not what workers and Hivelog''s own duties did.';
comment on column hivelog_reports.operator_actions.position is 'Position in the log.';
comment on column hivelog_reports.operator_actions.at is 'When.';
comment on column hivelog_reports.operator_actions.actor is 'Who: user:..., token:..., sql, ...';
comment on column hivelog_reports.operator_actions.action is 'Type of the event, such as paused or requeued.';
comment on column hivelog_reports.operator_actions.queue is 'The queue, if it was about one.';
comment on column hivelog_reports.operator_actions.job_id is 'The job, if it was about one.';
comment on column hivelog_reports.operator_actions.data is 'What the event says; never a payload or a reason''s text.';
