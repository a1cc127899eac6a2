-- Beside an old snapshot `leases` is mostly dead rows, and so is what an index has of a session. So each heartbeat writes
-- down which leases the session holds, as of a position of the log: what it holds now is what is left of those, and
-- what it took after.
alter table hivelog.sessions add held bigint[] not null default '{}', add held_at bigint not null default 0;
-- Every session's number is above 0. The index says so, that only statements that say so too are planned with it: where
-- few rows are alive, to read all of it looks as cheap to the planner as a look-up of a lease by its job.
create index leases_session on hivelog.leases (session, token) where session > 0;
