-- Take over the bulks whose process has not been heard of, a few at a time: (id, body).
update hivelog.bulks b set held_until = hivelog.now() + make_interval(secs => %(hold)s)
from (
    select id from hivelog.bulks where held_until < hivelog.now() order by held_until limit 4
    for update skip locked
) abandoned
where b.id = abandoned.id
returning b.id, b.body
