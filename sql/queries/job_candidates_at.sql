-- Those of some jobs whose stories up to a position are worth reading, in the order given: by their rounds they may have what
-- only a story tells for certain. Parameters: jobs, position; sessions (numbers; one of them ran it), failed (an attempt
-- did not complete), started (an attempt began at or after); null or false: any. Answer: (id).
select c.id from unnest(%(jobs)s::uuid[]) with ordinality c (id, place)
where (
    select (%(sessions)s::integer[] is null or coalesce(bool_or(r.session = any (%(sessions)s)), false))
        and (not %(failed)s::boolean or coalesce(bool_or(r.ended <= %(position)s and r.outcome <> 'completed'), false))
        and (%(started)s::timestamptz is null or coalesce(max(r.started_at) >= %(started)s, false))
    from hivelog.rounds r where r.job = c.id and r.began <= %(position)s::bigint
)
order by c.place
