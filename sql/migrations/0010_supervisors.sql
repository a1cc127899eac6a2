-- How many worker processes each queue should have (the data of its last `scaled` event), and the supervisors
-- that share them. A supervisor's row is its heartbeat: whoever is silent for some seconds is not counted.
alter table hivelog.queues add column scaled jsonb;

create table hivelog.supervisors (
    id            uuid primary key,
    name          text not null,
    host          text not null,
    pid           integer not null,
    queues        text[],             -- null: all
    process_limit integer,            -- null: none
    processes     jsonb not null,     -- {queue: [process ids]}
    last_seen     timestamptz not null
) with (fillfactor = 50);
