-- Read models folded from the log. Each can be dropped and rebuilt; none is ever asked before an append.

create type hivelog.job_status as enum (
    'pending', 'queued', 'processing', 'completed', 'failed', 'cancelled', 'expired'
);

-- How far each projection has read, one row a generation; the live one is what readers see. The checkpoint
-- always stands at the end of a batch of the log, where marks exist, so that figures can be compared.
create table hivelog.projections (
    name       text not null,
    generation integer not null,
    position   bigint not null default 0,
    updated_at timestamptz not null default hivelog.now(),
    live       boolean not null,
    error      text,
    primary key (name, generation)
) with (fillfactor = 50);
create unique index projections_live on hivelog.projections (name) where live;
insert into hivelog.projections (name, generation, live)
values ('jobs', 1, true), ('failures', 1, true), ('workers', 1, true);

-- One row a job, live or ended.
create table hivelog.jobs (
    id          uuid not null,
    enqueued    bigint not null,       -- position of its first event
    position    bigint not null,       -- and of its last
    created_at  timestamptz not null,
    due_at      timestamptz,           -- when a pending job becomes ready
    ready_at    timestamptz,           -- since when it could run, the last time it could
    started_at  timestamptz,
    ended_at    timestamptz,
    token       bigint,                -- of the last lease: names result and progress message in the vault
    error_token bigint,                -- of the lease that left the error
    session     integer,               -- who holds or held that lease
    type        integer not null,
    version     integer not null,
    size        integer not null,
    queue       smallint not null,
    priority    smallint not null,
    attempt     smallint not null,
    retry       smallint not null,
    progress    real,                  -- percent
    status      hivelog.job_status not null,
    cancelling  boolean not null,
    erased      boolean not null,
    expires_at  timestamptz,
    correlation text,
    source      text,
    tags        text[],
    cause       text,
    error_type  text,
    fingerprint text,
    template    text,
    -- What else was asked for stays in the first event, found by its position.
    primary key (id)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- A page of any status is a merge of at most seven ranges; ids are in order of age.
create index jobs_list on hivelog.jobs (queue, status, id);
create index jobs_correlation on hivelog.jobs (correlation, id) where correlation is not null;
create index jobs_tags on hivelog.jobs using gin (tags) where tags is not null;

-- What happened in a queue in a UTC minute. wait: able to run until started; run: started until completed.
-- Histograms: hivelog.bucket(ms) counts from 0, array elements from 1, trailing zeros left out.
create table hivelog.queue_minutes (
    queue         smallint not null,
    minute        timestamptz not null,
    enqueued      integer not null,
    started       integer not null,
    completed     integer not null,
    failed        integer not null,
    expired       integer not null,
    cancelled     integer not null,
    lost          integer not null,
    retried       integer not null,
    requeued      integer not null,
    released      integer not null,
    waited        integer not null,     -- samples in wait_ms and waits
    wait_ms       bigint not null,
    run_ms        bigint not null,      -- of the completed
    waits         integer[] not null,
    runs          integer[] not null,
    ended_seconds integer[] not null,   -- completed + failed + expired, by second of the minute
    primary key (queue, minute)
) with (fillfactor = 70);
-- The same by the hour, so that a day or a month reads few rows.
create table hivelog.queue_hours (
    like hivelog.queue_minutes including defaults including constraints including storage
);
alter table hivelog.queue_hours rename column minute to hour;
alter table hivelog.queue_hours drop column ended_seconds;
alter table hivelog.queue_hours add primary key (queue, hour);
alter table hivelog.queue_hours set (fillfactor = 70);

-- Failed attempts by fingerprint (their cause where none was written), job type and UTC hour.
create table hivelog.failures (
    fingerprint  text not null,
    type         integer not null,
    hour         timestamptz not null,
    count        integer not null,
    first_seen   timestamptz not null,
    last_seen    timestamptz not null,
    queues       smallint[] not null,
    sample_job   uuid not null,
    sample_position bigint not null,   -- of the event that tells it
    cause        text not null,
    error_type   text,
    template     text,
    primary key (fingerprint, type, hour)
) with (fillfactor = 70);
create index failures_hour on hivelog.failures (hour);

-- Every worker session there ever was.
create table hivelog.workers (
    id         integer not null,       -- the session's number, as in events.actor
    session    uuid not null,
    name       text not null,
    host       text not null,
    pid        integer not null,
    queues     text[] not null,
    types      text[] not null,
    slots      integer not null,
    started_at timestamptz not null,
    ended_at   timestamptz,
    ended_by   text,                   -- stopped or lost
    reason     text,
    completed  integer not null,
    failed     integer not null,       -- attempts, retried ones included
    primary key (id)
) with (fillfactor = 70);
create unique index workers_session on hivelog.workers (session);
create index workers_started on hivelog.workers (started_at);

-- Stable views for people and tools; their definitions are in sql/reports/.
create schema if not exists hivelog_reports;
