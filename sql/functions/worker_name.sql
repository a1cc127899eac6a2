-- worker:<name>:<session uuid> -> <name>; any other actor as it is.
create or replace function hivelog.worker_name(actor text) returns text
language sql immutable parallel safe as $$
    select case when actor like 'worker:%' then regexp_replace(actor, '^worker:(.*):[^:]*$', '\1') else actor end
$$;
