-- Depths and settings of each queue as Redis should have them at the checkpoint %(position)s.
-- Answers (head, epoch, queue, ready, running, paused, max_workers); the settings as of now.
select b.position, b.epoch, q.id, coalesce(m.ready, 0), coalesce(m.running, 0),
    q.paused or q.deleted, q.max_workers
from (select position, epoch from hivelog.batches order by position desc limit 1) b
left join hivelog.queues q on true
left join lateral (
    select m.ready, m.running from hivelog.queue_marks m
    where m.queue = q.id and m.position <= %(position)s order by m.position desc limit 1
) m on true
