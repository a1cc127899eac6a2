-- A UUIDv7 from the database's clock: milliseconds, then the fraction of the millisecond in the 12 bits after
-- the version, so that jobs enqueued one after the other in a transaction keep their order.
create or replace function hivelog.new_job_id() returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    fine constant timestamptz := clock_timestamp();
    whole constant timestamptz := hivelog.now();
    -- Without a meaning when the millisecond has just passed, or a test has moved the clock.
    fraction constant integer := case when date_trunc('milliseconds', fine) = whole
        then (extract(microseconds from fine)::bigint % 1000 * 4096 / 1000)::integer else 0 end;
begin
    return (substring(hivelog.lowest_job_id(whole)::text for 15) || lpad(to_hex(fraction), 3, '0')
        || substring(gen_random_uuid()::text from 19))::uuid;
end $$;
