-- The head of the log: (position, epoch, recorded_at).
select position, epoch, recorded_at from hivelog.batches order by position desc limit 1
