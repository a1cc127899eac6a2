-- What may be thinned: (oldest position that batches still know, last position older than %(seconds)s, now).
-- batches keep a day, and go only after the marks were thinned.
select (select min(position) from hivelog.batches where position > 0),
    (
        select b.position from hivelog.batches b
        where b.recorded_at < n.now - make_interval(secs => %(seconds)s)
        order by b.position desc limit 1
    ),
    n.now
from (select hivelog.now() as now) n
