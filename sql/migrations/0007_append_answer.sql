-- Both answer other columns than before, which `create or replace` does not do.
drop function if exists hivelog.append;
drop function if exists hivelog.append_start_filter;
