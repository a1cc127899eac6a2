-- Forgets the jobs that began in low < position <= high of a table that retention took off the log, and of which
-- nothing was carried: their rows, rounds, bodies and search terms. Answers how many jobs.
create or replace function hivelog.retention_sweep(gone text, low bigint, high bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    jobs uuid[];
begin
    if gone !~ '^events_gone_' then
        raise exception '% was not taken off the log', gone using errcode = 'HL020';
    end if;
    execute format('select array_agg(g.stream) from hivelog.%I g where g.position > $1 and g.position <= $2
        and g.type = ''enqueued''
        and not exists (select from hivelog.events_kept k where k.stream = g.stream)', gone)
    into jobs using low, high;
    if jobs is null then
        return 0;
    end if;
    delete from hivelog.vault v using unnest(jobs) u (job) where v.job = u.job;
    delete from hivelog.search s using unnest(jobs) u (job) where s.job = u.job;
    delete from hivelog.rounds r using unnest(jobs) u (job) where r.job = u.job;
    delete from hivelog.jobs j using unnest(jobs) u (job) where j.id = u.job;
    return cardinality(jobs);
end $$;
