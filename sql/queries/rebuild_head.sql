-- Head and epoch, and every queue's state, for a rebuild; first statement of its snapshot.
-- Answers (position, epoch, queue, running, paused, max_workers), one row a queue, at least one.
select b.position, b.epoch, q.queue, q.running, q.paused, q.max_workers
from (select position, epoch from hivelog.batches order by position desc limit 1) b
left join hivelog.feed_queues() q on true
