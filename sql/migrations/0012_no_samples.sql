-- The planner keeps samples of columns, readable as text: none of what jobs carry, or an erasure would miss them.
-- A column that gets its type anew forgets the samples that were taken before.
alter table hivelog.vault alter column body type bytea;
alter table hivelog.vault alter column body set statistics 0;
alter table hivelog.vault alter column salt type bytea;
alter table hivelog.vault alter column salt set statistics 0;
alter table hivelog.vault alter column wrapped type bytea;
alter table hivelog.vault alter column wrapped set statistics 0;
alter table hivelog.outbox alter column payload set statistics 0;
alter table hivelog.outbox_refused alter column payload set statistics 0;
alter table hivelog.bulks alter column body set statistics 0;
alter table hivelog.search alter column terms set statistics 0;
