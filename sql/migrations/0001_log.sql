-- The log and what one append touches: names, events, vault, batches, live jobs, marks.
-- Everything else (projections, sessions of people, reports) comes in later migrations.

create schema if not exists hivelog;

-- Every event type of the contract. An enum keeps the log readable in psql at four bytes a row.
create type hivelog.event_type as enum (
    'enqueued', 'queued', 'started', 'progressed', 'completed', 'retry_scheduled', 'failed',
    'cancel_requested', 'cancelled', 'expired', 'lost', 'released', 'requeued', 'routed',
    'rescheduled', 'payload_erased',
    'queue_configured', 'paused', 'resumed', 'drained', 'scaled',
    'worker_started', 'worker_stopped', 'worker_lost',
    'config_changed', 'session_opened', 'refused', 'token_created', 'token_revoked',
    'epoch_started', 'keys_rotated', 'action_started', 'action_finished'
);

-- Dictionaries: the hot tables carry small numbers instead of names.
create table hivelog.queues (
    id          smallint generated always as identity primary key,
    name        text collate "C" not null unique,
    stream      uuid not null unique,
    paused      boolean not null default false,
    max_workers integer,
    config      jsonb not null default '{}',
    deleted     boolean not null default false,
    position    bigint not null default 0
);
create table hivelog.job_types (
    id   integer generated always as identity primary key,
    name text collate "C" not null unique
);
create table hivelog.actors (
    id   integer generated always as identity primary key,
    name text collate "C" not null unique
);

create table hivelog.events (
    position    bigint not null,
    recorded_at timestamptz not null,
    stream      uuid not null,
    version     integer not null,
    type        hivelog.event_type not null,
    actor       integer not null,
    body_size   integer,
    queue       smallint,
    attempt     smallint,
    schema      smallint not null default 1,
    body_digest bytea,
    correlation text,
    data        jsonb,
    primary key (position)
) partition by range (position);

-- Catches what no partition covers, so that a late partition never refuses an append.
create table hivelog.events_default partition of hivelog.events default;
create unique index on hivelog.events_default (stream, version);

-- Bodies beside the log. Slot 0 is the payload and carries the job's salt and wrapped data key;
-- the others (1 result, 2 error, 3 progress message, 4 reason) belong to one lease, named by its token.
create table hivelog.vault (
    job     uuid not null,
    slot    smallint not null,
    token   bigint not null default 0,
    kek     smallint,
    salt    bytea,
    wrapped bytea,
    body    bytea not null,
    primary key (job, slot, token)
);

-- One row an append: the head of the log, and the proof for a process that lost the answer.
create table hivelog.batches (
    position    bigint primary key,
    first       bigint not null,
    recorded_at timestamptz not null,
    epoch       integer not null,
    batch_id    uuid not null
);

create table hivelog.identity (
    epoch             integer primary key,
    system_identifier text not null,
    timeline          integer not null,
    started_at        timestamptz not null
);

-- Versions of the streams that are no jobs (a job's version lives in its live row).
create table hivelog.streams (
    stream  uuid primary key,
    version integer not null
);

-- Live jobs: a job is in exactly one of the three tables, and in none once it has ended.
create table hivelog.pending (
    due_at     timestamptz not null,
    job        uuid not null,
    queue      smallint not null,
    type       integer not null,
    priority   smallint not null,
    version    integer not null,
    attempt    smallint not null,
    retry      smallint not null,
    size       integer not null,
    enqueued   bigint not null,
    expires_at timestamptz,
    spec       jsonb not null
) with (autovacuum_vacuum_scale_factor = 0.02);
create unique index pending_key on hivelog.pending (due_at, job);
create index pending_expiry on hivelog.pending (expires_at) where expires_at is not null;

create table hivelog.ready (
    job        uuid not null,
    enqueued   bigint not null,
    queue      smallint not null,
    priority   smallint not null,
    type       integer not null,
    version    integer not null,
    attempt    smallint not null,
    retry      smallint not null,
    size       integer not null,
    expires_at timestamptz,
    spec       jsonb not null
) with (autovacuum_vacuum_scale_factor = 0.02);
create unique index ready_key on hivelog.ready (queue, type, priority desc, job);
create index ready_expiry on hivelog.ready (expires_at) where expires_at is not null;

create table hivelog.leases (
    job         uuid primary key,
    token       bigint not null,
    enqueued    bigint not null,
    started_at  timestamptz not null,
    deadline    timestamptz,
    cancelling  timestamptz,
    session     integer not null,
    type        integer not null,
    version     integer not null,
    queue       smallint not null,
    priority    smallint not null,
    attempt     smallint not null,
    retry       smallint not null,
    size        integer not null,
    expires_at  timestamptz
) with (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);

-- Exact depths without counting: the last row of a queue is now, its past rows any moment before.
create table hivelog.queue_marks (
    queue       smallint not null,
    position    bigint not null,
    recorded_at timestamptz not null,
    pending     integer not null,
    ready       integer not null,
    running     integer not null,
    largest     integer not null,  -- biggest payload the queue ever took: bounds what a claim can weigh
    primary key (queue, position)
);

-- The system's configuration as the last config_changed left it (one row).
create table hivelog.config (
    only_row boolean primary key default true check (only_row),
    config   jsonb not null
);
insert into hivelog.config (config) values ('{}');

-- Living worker sessions; the row goes with worker_stopped or worker_lost. id is the session's actor.
create table hivelog.sessions (
    id             integer primary key,
    session        uuid not null unique,
    name           text not null,
    host           text not null,
    pid            integer not null,
    queues         text[] not null,
    types          text[] not null,
    slots          integer not null,
    started_at     timestamptz not null,
    last_heartbeat timestamptz not null,
    heartbeat      integer not null default 5,
    dead_after     integer not null default 20,
    busy           integer not null default 0,
    memory_mib     integer,
    schemas        jsonb
) with (fillfactor = 50);

create table hivelog.idempotency (
    key         bytea primary key,
    fingerprint bytea not null,
    jobs        uuid[] not null,
    expires_at  timestamptz not null
);
create index idempotency_expiry on hivelog.idempotency (expires_at);

-- Jobs enqueued from SQL in the user's own transaction, until the relay has appended them.
create table hivelog.outbox (
    id         uuid primary key,
    queue      text not null,
    type       text not null,
    payload    jsonb not null,
    options    jsonb not null,
    caller     text not null,
    created_at timestamptz not null
);
create table hivelog.outbox_refused (
    id         uuid primary key,
    queue      text not null,
    type       text not null,
    payload    jsonb not null,
    options    jsonb not null,
    caller     text not null,
    created_at timestamptz not null,
    refused_at timestamptz not null,
    code       text not null
);

-- Key-encryption keys by fingerprint: vault rows name theirs by number. No key material here.
create table hivelog.keks (
    id          smallint generated always as identity primary key,
    fingerprint text not null unique
);

-- One lease row a duty; an optimisation only, every leader action is a compare-and-set.
create table hivelog.leadership (
    duty       text primary key,
    holder     text not null,
    term       bigint not null,
    expires_at timestamptz not null
);

insert into hivelog.batches (position, first, recorded_at, epoch, batch_id)
values (0, 0, to_timestamp(0), 1, '00000000-0000-0000-0000-000000000000');
