-- One option of hivelog.enqueue, by the rules of events/spec.py (which the relay applies once more).
-- Answers what is wrong with it, or NULL. A value of null means not given.
create or replace function hivelog.check_option(name text, value jsonb) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    plain constant text := value #>> '{}';
    high constant bigint := case name when 'priority' then 1000 when 'max_retries' then 1000
        when 'retry_delay' then 2592000 when 'timeout' then 604800 end;
    longest constant integer := case name when 'idempotency_key' then 255 else 200 end;
    low constant bigint := case name when 'timeout' then 1 else 0 end;
begin
    if name not in ('priority', 'max_retries', 'retry_delay', 'retry_backoff', 'timeout', 'scheduled_for',
        'expires_at', 'source', 'correlation_id', 'tags', 'parent_id', 'idempotency_key')
    then
        return case when name in ('created_at', 'current_retry') then 'is set by the server'
            else 'is not a known option' end;
    elsif plain is null then
        return null;
    elsif high is not null then
        if jsonb_typeof(value) <> 'number' or plain !~ '^[0-9]{1,9}$' or plain::bigint not between low and high
        then
            return format('must be a whole number from %s to %s', low, high);
        end if;
    elsif name = 'tags' then
        if jsonb_typeof(value) <> 'array' then
            return 'must be a list of at most 20 texts';
        elsif jsonb_array_length(value) > 20 or exists (
            select from jsonb_array_elements(value) x
            where jsonb_typeof(x) <> 'string' or char_length(x #>> '{}') not between 1 and 64
        ) then
            return 'must be a list of at most 20 texts of 1 to 64 characters';
        end if;
    elsif jsonb_typeof(value) <> 'string' then
        return 'must be a text';
    elsif name = 'retry_backoff' then
        return case when plain not in ('fixed', 'exponential') then 'must be fixed or exponential' end;
    elsif name in ('scheduled_for', 'expires_at') then
        return hivelog.check_instant(plain);
    elsif name = 'parent_id' then
        return case when plain !~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'
            then 'must be a job id: a UUIDv7' end;
    elsif char_length(plain) not between 1 and longest then
        return format('must be a text of 1 to %s characters', longest);
    end if;
    return null;
end $$;
