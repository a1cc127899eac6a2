-- Accept a big bulk: its jobs, sealed and encoded, held by this process for %(hold)s seconds.
insert into hivelog.bulks (id, body, held_until)
values (%(id)s, %(body)s, hivelog.now() + make_interval(secs => %(hold)s))
