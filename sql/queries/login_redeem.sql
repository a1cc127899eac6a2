-- Use up a one-time code: (name, role), or nothing.
delete from hivelog.login_codes where hash = %(hash)s and expires_at > hivelog.now() returning name, role
