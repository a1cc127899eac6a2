-- How many jobs of queue %(queue)s a drain to %(position)s has ended since its start at %(start)s.
select count(*) from hivelog.events e
where e.position > %(start)s and e.type = 'cancelled' and e.queue = %(queue)s
    and e.data ->> 'cause' = 'drained'
    and exists (
        select from hivelog.events o
        where o.stream = e.stream and o.version = 1 and o.position <= %(position)s
    )
