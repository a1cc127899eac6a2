-- The first admin token, once in a database's life: (id), or nothing when there has been a token before.
insert into hivelog.access_tokens (id, name, hash, scopes, created_at)
select %(id)s, 'admin', %(hash)s, '{admin}', hivelog.now()
where not exists (select from hivelog.access_tokens)
returning id
