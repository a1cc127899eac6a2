-- The system's configuration and the version of the system's stream (%(stream)s), read at one moment.
select c.config, coalesce((select s.version from hivelog.streams s where s.stream = %(stream)s), 0)
from hivelog.config c
