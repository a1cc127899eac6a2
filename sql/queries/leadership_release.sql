-- Give back the leases of some duties (%(duties)s text[]) that %(holder)s has. The rows keep their terms.
update hivelog.leadership set expires_at = hivelog.now()
where duty = any (%(duties)s::text[]) and holder = %(holder)s and expires_at > hivelog.now()
