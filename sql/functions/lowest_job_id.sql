-- The smallest UUIDv7 of a moment: what was minted later sorts after it.
create or replace function hivelog.lowest_job_id(moment timestamptz) returns uuid
language sql immutable parallel safe as $$
    select (lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '70008000000000000000')::uuid
$$;
