-- Notes why a projection stands still. Parameters: name, generation, error (null: it runs again).
update hivelog.projections set error = %(error)s, updated_at = hivelog.now()
where name = %(name)s and generation = %(generation)s and error is distinct from %(error)s
