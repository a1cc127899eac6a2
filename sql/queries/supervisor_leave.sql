-- A supervisor (%(id)s) has stopped its workers and goes.
delete from hivelog.supervisors where id = %(id)s
