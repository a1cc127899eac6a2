-- A day of history written straight into the log: %(jobs)s jobs in %(queues)s queues, evenly over 24 hours that end
-- now, three to five events each. Appends end every 50 ms; marks are once a second and queue, as thinning leaves them.
create temp table plan as
select n, to_timestamp(date_part('epoch', now()) - 86400 + n * 86400.0 / %(jobs)s) as at,
    (1 + n %% %(queues)s)::smallint as queue, 1 + (n / 7) %% 5 as type,
    -- Most wait for a moment, one in fifty for minutes; they run for 10 ms to 8 s; one in twenty fails once.
    case when n %% 50 = 0 then 600 * random() else 2 * random() end as wait, 0.01 + 8 * random() ^ 4 as run,
    n %% 20 = 3 as fails
from generate_series(0, %(jobs)s - 1) n;
create temp table steps as
select p.n, s.version, date_bin('50 milliseconds', s.at, timestamptz '2000-01-01') as at, s.type, p.queue, p.at as created, p.type as kind
from plan p cross join lateral (values
    (1, p.at, 'enqueued'), (2, p.at + make_interval(secs => p.wait), 'started'),
    (3, p.at + make_interval(secs => p.wait + p.run), case when p.fails then 'retry_scheduled' else 'completed' end),
    (4, case when p.fails then p.at + make_interval(secs => p.wait + p.run + 60) end, 'queued'),
    (5, case when p.fails then p.at + make_interval(secs => p.wait + p.run + 61) end, 'started'),
    (6, case when p.fails then p.at + make_interval(secs => 2 * p.run + p.wait + 61) end, 'completed')
) s (version, at, type)
where s.at <= now();
create temp table written as
select row_number() over (order by s.at, s.n, s.version) + %(head)s as position, s.* from steps s;
insert into hivelog.events (position, recorded_at, stream, version, type, actor, queue, attempt, body_size, data)
select w.position, w.at,
    (lpad(to_hex((date_part('epoch', w.created) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(w.n %% 4096), 3, '0')
        || '8' || lpad(to_hex(w.n), 15, '0'))::uuid,
    w.version, w.type::hivelog.event_type,
    case when w.type in ('started', 'completed', 'retry_scheduled') then %(session)s + w.n %% 20 else 1 end, w.queue,
    case when w.type in ('started', 'completed', 'retry_scheduled') then case when w.version > 3 then 2 else 1 end end,
    case when w.type = 'enqueued' then 200 end,
    case w.type
        when 'enqueued' then jsonb_build_object('type', 'type' || w.kind, 'priority', 100, 'max_retries', 3,
            'retry_delay', 60)
        when 'retry_scheduled' then jsonb_build_object('cause', 'error', 'retry', 1, 'error_type', 'ValueError',
            'fingerprint', 'f' || w.kind, 'template', 'bad value <n>',
            'due_at', to_char((w.at + interval '60 seconds') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
    end
from written w;
insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
select max(w.position), min(w.position), w.at, 1, gen_random_uuid() from written w group by w.at;
insert into hivelog.queue_marks (queue, position, recorded_at, pending, ready, running, largest)
select m.queue, m.position, m.at, m.pending, m.ready, m.running, 200
from (
    select w.queue, w.position, w.at,
        sum(case w.type when 'retry_scheduled' then 1 when 'queued' then -1 else 0 end) over q as pending,
        sum(case w.type when 'enqueued' then 1 when 'queued' then 1 when 'started' then -1 else 0 end) over q as ready,
        sum(case w.type when 'started' then 1 when 'completed' then -1 when 'retry_scheduled' then -1 else 0 end)
            over q as running,
        lead(date_trunc('second', w.at)) over q = date_trunc('second', w.at) as covered,
        lead(w.at) over q = w.at as same
    from written w window q as (partition by w.queue order by w.position)
) m
where not coalesce(m.covered, false) and not coalesce(m.same, false)
on conflict do nothing;
