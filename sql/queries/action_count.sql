-- How many jobs an action (the position of its action_started, %(started)s; actor) has changed since %(after)s
-- and up to %(upto)s (null: to the end), by its events of type %(type)s. Erasures name no action, so their actor counts.
select count(*)::integer from hivelog.events e
where e.position > %(after)s and (%(upto)s::bigint is null or e.position <= %(upto)s)
    and e.type = %(type)s::hivelog.event_type
    and case when e.type = 'payload_erased' then e.actor = %(actor)s
        else (e.data ->> 'action')::bigint = %(started)s end
