-- The number of a job type by name: (id), or nothing. Mints none: a question must not change anything.
select id from hivelog.job_types where name = %(name)s
