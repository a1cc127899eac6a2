-- A bulk is in the log.
delete from hivelog.bulks where id = %(id)s
