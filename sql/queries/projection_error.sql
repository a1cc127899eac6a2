-- Notes why a projection stands still. Parameters: name, generation, error (null: it runs again).
update hivelog.projections set error = %(error)s
where name = %(name)s and generation = %(generation)s and error is distinct from %(error)s
