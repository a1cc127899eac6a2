-- History is append-only by force, also for the owner: UPDATE, DELETE and TRUNCATE raise.
create or replace function hivelog.forbid_change() returns trigger language plpgsql as $$
begin
    raise exception '% on %.%: the log is append-only', tg_op, tg_table_schema, tg_table_name
        using errcode = 'HL003';
end $$;
