-- How often the event loop of a worker stood still since its session began; null where nobody watches.
alter table hivelog.sessions add column loop_blocked integer;
