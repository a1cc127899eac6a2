-- One row a round of a job: it waits, then it runs, then the round ends. Retries, released attempts and new
-- times begin another round. Positions say what was the case at any moment, times how long it took.
create table hivelog.rounds (
    job        uuid not null,
    began      bigint not null,       -- position of the event that began it
    ready      bigint,                -- from where on it could run; null: it never could
    started    bigint,                -- also the lease's token
    ended      bigint,                -- null while it goes on
    revived    bigint,                -- of the `requeued` after the job's end by this round
    began_at   timestamptz not null,
    ready_at   timestamptz,
    started_at timestamptz,
    ended_at   timestamptz,
    type       integer not null,
    session    integer,
    queue      smallint not null,
    priority   smallint not null,
    attempt    smallint,
    -- hivelog.span_level of how many positions it waited and ran; 63 while that is not known.
    wait_level smallint not null,
    run_level  smallint not null,
    outcome    hivelog.event_type,    -- the event that ended it
    status     hivelog.job_status,    -- of a job that ended by it; null where another round followed
    cause      text,
    primary key (job, began)
) with (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- What waited or ran at position P: of each level, those that began within its length before P.
create index rounds_waiting on hivelog.rounds (queue, wait_level, began);
create index rounds_running on hivelog.rounds (queue, run_level, started) where started is not null;
create index rounds_ended on hivelog.rounds (ended) where ended is not null;
create index rounds_revived on hivelog.rounds (queue, ended) where revived is not null;

-- A projection that was added to a log with a past: readers of the others do not wait for it.
alter table hivelog.projections add filling boolean not null default false;
insert into hivelog.projections (name, generation, live, filling)
select 'rounds', 1, true, exists (select from hivelog.batches where position > 0);
-- An old generation that a rebuild was told to keep; it is not folded any further.
alter table hivelog.projections add kept boolean not null default false;
drop function if exists hivelog.projection_swap(text, integer);
