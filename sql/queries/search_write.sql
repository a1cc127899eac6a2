-- The terms of some jobs, and the step along the log that they came from.
-- Parameters: after, upto (the step), jobs, terms (a tsvector's text for each).
-- Answer: whether it was written; not when another process made the step.
-- Lists in binary: to write a thousand of them as text takes seven times as long.
with step as (
    update hivelog.search_state set position = %(upto)s, updated_at = hivelog.now()
    where position = %(after)s
    returning position
), given as materialized (
    select g.job, g.terms from unnest(%(jobs)b::uuid[], %(terms)b::text[]) g (job, terms), step
), put as (
    insert into hivelog.search as s (job, terms)
    select g.job, g.terms::tsvector from given g
    on conflict (job) do update set terms = excluded.terms
)
select exists (select from step)
