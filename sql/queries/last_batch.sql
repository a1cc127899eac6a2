-- The batch at the end of the log. Answers (position, epoch, batch_id).
select position, epoch, batch_id from hivelog.batches order by position desc limit 1
