-- Which events of an action the log has, and where: (type, position). Parameters: action (its id).
select e.type::text, e.position from hivelog.events e
where e.stream = hivelog.system_stream() and e.type in ('action_started', 'action_finished')
    and e.data ->> 'action_id' = %(action)s
