-- An added projection (%(name)s, %(generation)s) has reached the present: from now on others wait for it.
update hivelog.projections set filling = false where name = %(name)s and generation = %(generation)s
