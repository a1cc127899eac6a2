-- Whose token has this hash: (name, scopes, queues), while it is neither expired nor revoked.
select name, scopes, queues from hivelog.access_tokens
where hash = %(hash)s and revoked_at is null and (expires_at is null or expires_at > hivelog.now())
