-- The numbers of sessions, living and ended, of a worker by its name or session id (%(worker)s).
select id from hivelog.workers where name = %(worker)s or session::text = %(worker)s
