-- Salt and wrapped data key of something that is no job but has bodies (a queue); the first one stays.
insert into hivelog.vault (job, slot, token, kek, salt, wrapped, body)
values (%(job)s, 0, 0, %(kek)s, %(salt)s, %(wrapped)s, %(body)s)
on conflict do nothing
