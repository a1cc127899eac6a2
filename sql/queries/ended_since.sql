-- Which of these jobs may have ended after a position, and how far that was looked: one row at least.
-- jobs: uuid[]; after: position. Answers (head, job or null).
select head.position, ended.stream
from (select position from hivelog.batches order by position desc limit 1) head
left join lateral (
    select e.stream
    from hivelog.events e
    where e.position > %(after)s and e.position <= head.position
        and e.stream = any (%(jobs)s)
        and e.type in ('completed', 'failed', 'cancelled', 'expired', 'lost')
) ended on true
