-- The events of a batch that a projection folds, those after one position up to another.
-- For its `rows`: what a query makes of it is planned for thousands, as projections need it. From the log itself
-- the planner expects a few on a new server, and then compares each job of a batch with each other one. `strict`
-- keeps it a function, since one that is put in its caller's place loses its `rows`.
create or replace function hivelog.events_between(in_after bigint, in_upto bigint)
returns setof hivelog.events
language sql stable strict rows 10000 as $$
    select e.* from hivelog.events e where e.position > in_after and e.position <= in_upto
$$;
-- The same, of these types only: what is read is kept before it is filtered, and most projections need few of a batch.
create or replace function hivelog.events_between(in_after bigint, in_upto bigint, in_types hivelog.event_type[])
returns setof hivelog.events
language sql stable strict rows 10000 as $$
    select e.* from hivelog.events e where e.position > in_after and e.position <= in_upto and e.type = any (in_types)
$$;
