-- The last seal that ends before a position: (position). Parameters: first.
select s.position from hivelog.seals s where s.position < %(first)s order by s.position desc limit 1
