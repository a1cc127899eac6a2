-- What this user may do to the log besides what Hivelog needs.
-- Answer: owner (owns the table of events), may_write (may insert, update or delete rows of it beside
-- `append`), may_append (may call the one writer), may_read.
select c.relowner = (select oid from pg_roles where rolname = current_user) as owner,
    has_table_privilege('hivelog.events', 'insert, update, delete, truncate') as may_write,
    has_table_privilege('hivelog.events', 'select') as may_read,
    coalesce((select bool_and(has_function_privilege(p.oid, 'execute'))
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'hivelog' and p.proname = 'append'), false) as may_append
from pg_class c where c.oid = 'hivelog.events'::regclass
