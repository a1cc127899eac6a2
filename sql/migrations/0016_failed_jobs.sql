-- Jobs by what their last failed attempt has in common with others, newest start first: what a cell of the page
-- Failures counts. Only failed jobs are in it.
create index jobs_failures on hivelog.jobs (coalesce(fingerprint, cause), type, queue, started_at)
    where coalesce(fingerprint, cause) is not null and started_at is not null;
