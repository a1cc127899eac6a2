-- The log's end, its name, and what it has where somebody remembers the end of a batch. Parameter: at (position).
-- Answers (position, epoch, log, whether that place is within what is kept, the id of the batch that ends there).
-- The name is of when and where its first epoch began: all copies of a log share it, no two logs do.
select h.position, h.epoch, i.system_identifier || '/' || date_part('epoch', i.started_at)::numeric(20, 6),
    exists (select from hivelog.batches b where b.position < %(at)s), x.batch_id
from (select position, epoch from hivelog.batches order by position desc limit 1) h
left join hivelog.batches x on x.position = %(at)s
left join lateral (select * from hivelog.identity i order by i.epoch limit 1) i on true
