-- How far every projection is: (name, generation, position, updated_at, live, error, filling).
select name, generation, position, updated_at, live, error, filling from hivelog.projections
order by name, generation
