-- The ends of the log: its head and epoch by the batches, the first and the last position of an event (0: none), how
-- many events lie before position 1, how many after the head, the first of these, and the last seal (0: none).
select b.position, b.epoch,
    coalesce((select e.position from hivelog.events e where e.position > 0 order by e.position limit 1), 0),
    coalesce((select e.position from hivelog.events e order by e.position desc limit 1), 0),
    (select count(*) from hivelog.events e where e.position < 1),
    (select count(*) from hivelog.events e where e.position > b.position),
    (select min(e.position) from hivelog.events e where e.position > b.position),
    coalesce((select max(s.position) from hivelog.seals s), 0)
from (select * from hivelog.batches order by position desc limit 1) b
