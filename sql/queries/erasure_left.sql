-- What of a job is left outside the log: (vault, search, outbox, outbox_refused) rows. Parameters: job.
-- The end of its id, by which it is still found, is nothing that it carried.
select (select count(*) from hivelog.vault v where v.job = %(job)s),
    (select count(*) from hivelog.search s where s.job = %(job)s
        and s.terms <> array_to_tsvector(array['#~' || right(s.job::text, 8)])),
    (select count(*) from hivelog.outbox o where o.id = %(job)s),
    (select count(*) from hivelog.outbox_refused o where o.id = %(job)s)
