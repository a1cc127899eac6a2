-- One stretch of a history for tests/bench/dashboard.py: jobs that were enqueued, started and ended, a twentieth of
-- them failed; with their payloads, and an append of 10,000 events at a time, as the log would have written them.
-- Parameters: first (number of its first job), count, start and stop (when they were enqueued), queues and types
-- (numbers), type_names, actor, worker, position (head before), epoch, errors (kinds of them), waves (0: none).
with jobs as materialized (
    select i, (%(queues)s::smallint[])[1 + i %% cardinality(%(queues)s)] as queue,
        1 + i %% cardinality(%(type_names)s::text[]) as kind,
        t.at as created, t.at + interval '1 ms' * (5 + (i * 7919) %% 900) as began,
        t.at + interval '1 ms' * (10 + (i * 7919) %% 900 + (i * 104729) %% 3000) as ended,
        (lpad(to_hex((date_part('epoch', t.at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i %% 4096), 3, '0')
            || '8' || lpad(to_hex(i), 15, '0'))::uuid as job, i %% 20 = 7 as failed,
        convert_to(format('{"user_id": "u%%s", "order": {"id": %%s}, "subject": "monthly report"}',
            i %% 100000, i), 'UTF8') as payload
    from generate_series(%(first)s::bigint, %(first)s::bigint + %(count)s - 1) i
    cross join lateral (
        select date_trunc('milliseconds', %(start)s::timestamptz
            + (%(stop)s::timestamptz - %(start)s::timestamptz) * (x.share
                - case when %(waves)s > 0 then 0.5 * sin(2 * pi() * %(waves)s * x.share) / (2 * pi() * %(waves)s) else 0 end
            )) as at
        from (select (i - %(first)s)::float8 / %(count)s as share) x
    ) t
), steps as (
    select j.job, 1 as version, 'enqueued'::hivelog.event_type as type, j.created as at, j.queue,
        jsonb_build_object('type', (%(type_names)s::text[])[j.kind], 'priority', 100, 'max_retries', 0,
            'retry_delay', 60, 'source', 'bench', 'correlation_id', 'c' || j.i / 10) as data,
        octet_length(j.payload) as size, 'c' || j.i / 10 as correlation
    from jobs j
    union all
    select j.job, 2, 'started', j.began, j.queue, null, null, null from jobs j
    union all
    select j.job, 3, case when j.failed then 'failed' else 'completed' end::hivelog.event_type, j.ended, j.queue,
        case when j.failed then jsonb_build_object('cause', 'error', 'error_type', 'ValueError', 'fingerprint',
            'f' || j.i %% %(errors)s, 'template', 'no such order <n>') end, null, null
    from jobs j
), numbered as (
    select s.*, %(position)s::bigint + row_number() over (order by s.at, s.job, s.version) as position from steps s
), written as (
    insert into hivelog.events (position, recorded_at, stream, version, type, actor, body_size, queue, attempt,
        body_digest, correlation, data)
    select n.position, max(n.at) over (order by n.position), n.job, n.version, n.type,
        case n.version when 1 then %(actor)s::integer else %(worker)s::integer end, n.size, n.queue,
        case when n.version > 1 then 1 end, case when n.size is not null then '\x00'::bytea end, n.correlation, n.data
    from numbered n order by n.position
), kept as (
    insert into hivelog.vault (job, slot, token, salt, body) select j.job, 0, 0, '\x00'::bytea, j.payload from jobs j
)
insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
select b.last, b.first, b.at, %(epoch)s::integer, gen_random_uuid() from (
    select max(n.position) as last, min(n.position) as first, max(n.at) as at from numbered n
    group by (n.position - %(position)s::bigint - 1) / 10000
) b
