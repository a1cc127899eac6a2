-- One body beside the log, named by job (or queue stream), slot and token.
insert into hivelog.vault (job, slot, token, body) values (%(job)s, %(slot)s, %(token)s, %(body)s)
on conflict do nothing
