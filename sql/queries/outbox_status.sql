-- How the outbox does.
-- Answer: waiting (jobs, counted up to 10,000), oldest_seconds (NULL if none), refused (counted up to 10,000).
select (select count(*) from (select from hivelog.outbox limit 10000) w)::integer as waiting,
    (select extract(epoch from hivelog.now() - o.created_at)::float8 from hivelog.outbox o
        order by o.id limit 1) as oldest_seconds,
    (select count(*) from (select from hivelog.outbox_refused limit 10000) r)::integer as refused
