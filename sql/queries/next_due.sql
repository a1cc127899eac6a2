-- Seconds until something of the waiting jobs falls due (negative: overdue), NULL if nothing ever does.
select extract(epoch from least(
    (select min(due_at) from hivelog.pending),
    (select min(expires_at) from hivelog.pending where expires_at is not null),
    (select min(expires_at) from hivelog.ready where expires_at is not null)
) - hivelog.now())::float8
