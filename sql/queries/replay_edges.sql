-- The log's positions before and at the end of a time window: (low, high). Events of the
-- window are those above low, up to high. Parameters: since (its first moment), until (the first one after it).
select hivelog.position_at(%(since)s::timestamptz - interval '1 millisecond'),
    hivelog.position_at(%(until)s::timestamptz - interval '1 millisecond')
