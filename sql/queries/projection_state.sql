-- How far every projection is: (name, generation, position, updated_at, live, error).
select name, generation, position, updated_at, live, error from hivelog.projections order by name, generation
