-- How far every projection is: (name, generation, position, updated_at, live, error, filling).
select p.name, p.generation, c.position, c.updated_at, p.live, p.error, p.filling
from hivelog.projections p
cross join lateral hivelog.checkpoint(p.name, p.generation) c
order by p.name, p.generation
