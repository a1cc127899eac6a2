-- Every job as the projection and the live tables have it, by id: what `hivelog diff` holds against the log.
-- Answer: (id, then as projected: version, position, status, queue, priority, attempt, retry, due_at, ended_at,
-- cancelling, erased, cause, fingerprint, enqueued; then the live row: table, version, queue, priority, attempt,
-- retry, due_at, cancelling, token; and how many live rows there are). NULLs where there is none.
select coalesce(j.id, l.job) as id, j.version, j.position, j.status::text, j.queue, j.priority, j.attempt, j.retry,
    j.due_at, j.ended_at, j.cancelling, j.erased, j.cause, j.fingerprint, j.enqueued,
    l.source, l.version, l.queue, l.priority, l.attempt, l.retry, l.due_at, l.cancelling, l.token, l.rows
from hivelog.jobs j
full join (
    select l.*, count(*) over (partition by l.job) as rows from (
        select 'pending' as source, p.job, p.version, p.queue, p.priority, p.attempt, p.retry, p.due_at,
            false as cancelling, null::bigint as token from hivelog.pending p
        union all
        select 'ready', r.job, r.version, r.queue, r.priority, r.attempt, r.retry, null, false, null
        from hivelog.ready r
        union all
        select 'lease', x.job, x.version, x.queue, x.priority, x.attempt, x.retry, null,
            x.cancelling is not null, x.token from hivelog.leases x
    ) l
) l on l.job = j.id
order by 1
