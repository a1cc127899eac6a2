-- Hold a bulk that is being appended for longer.
update hivelog.bulks set held_until = hivelog.now() + make_interval(secs => %(hold)s) where id = %(id)s
