-- What is wrong with a text as an RFC 3339 time, or NULL. pg_input_is_valid would need PostgreSQL 16.
create or replace function hivelog.check_instant(value text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    if value !~ '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$' then
        return 'must be an RFC 3339 time, such as 2030-01-31T09:00:00Z';
    elsif value::timestamptz < 'epoch' or value::timestamptz >= '10000-01-01 00:00+00' then
        return 'must be from 1970 to 9999';
    end if;
    return null;
exception when datetime_field_overflow or invalid_datetime_format or invalid_time_zone_displacement_value then
    return 'must be an RFC 3339 time, such as 2030-01-31T09:00:00Z';
end $$;
