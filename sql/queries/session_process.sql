-- A living session by its uuid, with the process it is: (host, pid, queues, name). Parameter: session.
select host, pid, queues, name from hivelog.sessions where session = %(session)s
