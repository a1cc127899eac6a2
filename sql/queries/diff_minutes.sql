-- Queues whose minutes, hours or last marks disagree about how many jobs there are, over the whole log; and whether
-- the rows of all queues together (number 0) say what theirs do.
-- Answer: (queue, what, one, other).
select q.name, x.what, x.one, x.other
from hivelog.queues q
cross join lateral (
    select coalesce(sum(m.enqueued), 0) as enqueued, coalesce(sum(m.completed), 0) as completed,
        coalesce(sum(m.failed + m.expired + m.cancelled), 0) as other_ends,
        coalesce(sum(m.requeued), 0) as requeued, coalesce(sum(m.started), 0) as started
    from hivelog.queue_minutes m where m.queue = q.id
) m
cross join lateral (
    select coalesce(sum(h.enqueued), 0) as enqueued, coalesce(sum(h.completed), 0) as completed,
        coalesce(sum(h.started), 0) as started
    from hivelog.queue_hours h where h.queue = q.id
) h
cross join lateral (
    select count(*) as live from hivelog.jobs j
    where j.queue = q.id and j.status in ('pending', 'queued', 'processing')
) l
cross join lateral (values
    ('enqueued by minute and by hour', m.enqueued, h.enqueued),
    ('started by minute and by hour', m.started, h.started),
    ('completed by minute and by hour', m.completed, h.completed),
    ('live jobs and enqueued less ended', l.live, m.enqueued + m.requeued - m.completed - m.other_ends)
) x (what, one, other)
where x.one <> x.other
union all
select 'all queues', x.what, x.one, x.other
from (
    select coalesce(sum(m.enqueued) filter (where m.queue > 0), 0) as enqueued,
        coalesce(sum(m.enqueued) filter (where m.queue = 0), 0) as enqueued_together,
        coalesce(sum(m.completed) filter (where m.queue > 0), 0) as completed,
        coalesce(sum(m.completed) filter (where m.queue = 0), 0) as completed_together
    from hivelog.queue_minutes m
) m
cross join lateral (values
    ('enqueued by queue and together', m.enqueued, m.enqueued_together),
    ('completed by queue and together', m.completed, m.completed_together)
) x (what, one, other)
where x.one <> x.other
