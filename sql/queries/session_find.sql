-- A living session by its uuid: (id, name, queues, types, slots, heartbeat, dead_after).
select id, name, queues, types, slots, heartbeat, dead_after from hivelog.sessions where session = %(session)s
