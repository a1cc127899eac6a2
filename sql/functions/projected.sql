-- How far a generation of a projection has folded the log: its checkpoint.
create or replace function hivelog.checkpoint(in_name text, in_generation integer)
returns table ("position" bigint, updated_at timestamptz)
language sql stable rows 1 as $$
    select c.position, c.updated_at from hivelog.checkpoints c
    where c.name = in_name and c.generation = in_generation
    order by c.position desc limit 1
$$;
-- The same of the generation that readers see, and which that is.
create or replace function hivelog.projected(in_name text)
returns table (generation integer, "position" bigint)
language sql stable rows 1 as $$
    select p.generation, c.position from hivelog.projections p
    cross join lateral hivelog.checkpoint(p.name, p.generation) c
    where p.name = in_name and p.live
$$;
