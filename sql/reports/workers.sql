-- Every worker session there ever was; completed and failed count attempts.
create or replace view hivelog_reports.workers as
select w.session, w.name, w.host, w.pid, w.queues, w.types, w.slots, w.started_at, w.ended_at, w.ended_by, w.reason,
    w.completed, w.failed
from hivelog.workers w;
