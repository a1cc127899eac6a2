-- How many jobs a bulk action means, exactly, as projected. Parameters as job_page (queues, statuses, type, since,
-- until, tag, source, correlation, worker, fingerprint, started, search), ids (null: any), enqueued (at or before
-- this position) and settled (whether nothing may have happened to them since it).
select count(*)::integer from hivelog.jobs j
where j.queue = any (%(queues)s::smallint[]) and j.status = any (%(statuses)s::hivelog.job_status[])
    and j.enqueued <= %(enqueued)s and (not %(settled)s or j.position <= %(enqueued)s)
    and (%(ids)s::uuid[] is null or j.id = any (%(ids)s::uuid[]))
    and (%(since)s::timestamptz is null or j.created_at >= %(since)s)
    and (%(until)s::timestamptz is null or j.created_at < %(until)s)
    and (%(type)s::integer is null or j.type = %(type)s)
    and (%(source)s::text is null or j.source = %(source)s)
    and (%(correlation)s::text is null or j.correlation = %(correlation)s)
    and (%(tag)s::text is null or j.tags @> array[%(tag)s::text])
    and (%(fingerprint)s::text is null or coalesce(j.fingerprint, j.cause) = %(fingerprint)s)
    and (%(started)s::timestamptz is null or j.started_at >= %(started)s)
    and (%(worker)s::text is null or j.session in (
        select w.id from hivelog.workers w where w.name = %(worker)s or w.session::text = %(worker)s))
    and (%(search)s::text is null or j.id in (
        select s.job from hivelog.search s where s.terms @@ %(search)s::tsquery))
