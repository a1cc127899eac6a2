-- What `q` of the job list looks in: one row a job that carries something, derived from the vault by a process
-- that can open it. Terms of an encrypted job are keyed hashes; of a plain one the words themselves.
create table hivelog.search (
    job   uuid primary key,
    terms tsvector not null
);
create index search_terms on hivelog.search using gin (terms);

-- How far the log was looked through, and under which key the hashes are made (null: none yet).
create table hivelog.search_state (
    only_row   boolean primary key default true check (only_row),
    position   bigint not null default 0,
    kek        smallint,
    updated_at timestamptz not null default hivelog.now()
) with (fillfactor = 50);
insert into hivelog.search_state default values;
