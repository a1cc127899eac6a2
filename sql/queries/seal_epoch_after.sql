-- The first sealed position of the first epoch after %(epoch)s; null when there is none.
select min(s.first) from hivelog.seals s where s.epoch > %(epoch)s
