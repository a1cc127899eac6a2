-- The number of an actor by name: (id), or nothing.
select id from hivelog.actors where name = %(name)s
