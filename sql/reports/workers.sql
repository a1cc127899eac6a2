-- Every worker session there ever was; completed and failed count attempts.
create or replace view hivelog_reports.workers as
select w.session, w.name, w.host, w.pid, w.queues, w.types, w.slots, w.started_at, w.ended_at, w.ended_by, w.reason,
    w.completed, w.failed
from hivelog.workers w;

comment on view hivelog_reports.workers is 'Every worker session there ever was.';
comment on column hivelog_reports.workers.session is 'The session''s id.';
comment on column hivelog_reports.workers.name is 'The worker''s name.';
comment on column hivelog_reports.workers.host is 'Its host.';
comment on column hivelog_reports.workers.pid is 'Its process id there.';
comment on column hivelog_reports.workers.queues is 'Queues that it served.';
comment on column hivelog_reports.workers.types is 'Job types that it could run.';
comment on column hivelog_reports.workers.slots is 'Jobs that it ran at once.';
comment on column hivelog_reports.workers.started_at is 'When it started.';
comment on column hivelog_reports.workers.ended_at is 'When it ended; null while it lives.';
comment on column hivelog_reports.workers.ended_by is 'stopped or lost.';
comment on column hivelog_reports.workers.reason is 'Why it ended.';
comment on column hivelog_reports.workers.completed is 'Attempts that completed.';
comment on column hivelog_reports.workers.failed is 'Attempts that did not, retried ones included.';
