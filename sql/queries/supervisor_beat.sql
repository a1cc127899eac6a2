-- A supervisor's heartbeat, and the others that live. Parameters: id, name, host, pid, queues, process_limit,
-- processes, crashes, lease (seconds of silence after which a supervisor is not counted).
-- Answer: a row for each other living supervisor: (id, name, host, pid, queues, process_limit, processes, crashes).
with forgotten as (
    delete from hivelog.supervisors s where s.last_seen < hivelog.now() - interval '1 hour' and s.id <> %(id)s
), me as (
    insert into hivelog.supervisors (id, name, host, pid, queues, process_limit, processes, crashes, last_seen)
    values (%(id)s, %(name)s, %(host)s, %(pid)s, %(queues)s, %(process_limit)s, %(processes)s, %(crashes)s,
        hivelog.now())
    on conflict (id) do update set processes = excluded.processes,
        crashes = excluded.crashes, last_seen = excluded.last_seen
)
select s.id, s.name, s.host, s.pid, s.queues, s.process_limit, s.processes, s.crashes from hivelog.supervisors s
where s.last_seen > hivelog.now() - make_interval(secs => %(lease)s) and s.id <> %(id)s
