-- How far search has come: (position, kek, the log's head).
select s.position, s.kek, (select b.position from hivelog.batches b order by b.position desc limit 1)
from hivelog.search_state s
