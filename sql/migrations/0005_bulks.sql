-- Big bulks between their acceptance and their last append. `body`: the jobs as the append takes them, their
-- payloads sealed; a row stays for milliseconds, or until another process finishes what a dead one began.
create table hivelog.bulks (
    id         uuid primary key,
    body       bytea not null,
    held_until timestamptz not null
);
alter table hivelog.bulks alter column body set storage external;
