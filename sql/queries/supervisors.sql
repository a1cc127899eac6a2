-- The supervisors that live: (id, name, host, pid, queues, process_limit, processes, crashes). Parameter: lease (seconds).
select s.id, s.name, s.host, s.pid, s.queues, s.process_limit, s.processes, s.crashes from hivelog.supervisors s
where s.last_seen > hivelog.now() - make_interval(secs => %(lease)s)
order by s.name, s.id
