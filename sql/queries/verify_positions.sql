-- Which of the positions first..last hold no event, at most 100: (position), in order. Parameters: first, last.
select g.position from generate_series(%(first)s::bigint, %(last)s::bigint) g (position)
where not exists (select from hivelog.events e where e.position = g.position)
order by 1 limit 100
