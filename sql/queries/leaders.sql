-- Who has which duty: (duty, holder, term, held now).
select duty, holder, term, expires_at > hivelog.now() from hivelog.leadership order by duty
