-- Where the next batch of a projection ends: always at the end of an append, where marks exist.
-- Parameters: after (its checkpoint), upto (the farthest it should go).
-- Answer: position: the last append's end up to `upto`, else the first one's after it, else null: the
-- projection has read all; head: the end of the log.
select coalesce(
        (select b.position from hivelog.batches b
            where b.position > %(after)s and b.position <= %(upto)s order by b.position desc limit 1),
        (select b.position from hivelog.batches b
            where b.position > %(after)s order by b.position limit 1)
    ) as position,
    (select b.position from hivelog.batches b order by b.position desc limit 1) as head
