-- What an action (the position of its action_started, %(started)s; actor) did to jobs: (position, job) of its events of
-- type %(type)s after %(after)s and up to %(upto)s (null: to the end), at most %(limit)s (null: all). As in action_count.
select e.position, e.stream from hivelog.events e
where e.position > %(after)s and (%(upto)s::bigint is null or e.position <= %(upto)s)
    and e.type = %(type)s::hivelog.event_type
    and case when e.type = 'payload_erased' then e.actor = %(actor)s
        else (e.data ->> 'action')::bigint = %(started)s end
order by e.position
limit %(limit)s
