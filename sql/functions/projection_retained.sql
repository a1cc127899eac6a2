-- What a new generation cannot fold any more, since retention took the events: counts of the minutes and hours up to
-- the edge's, and what workers that lived then had done, are those of the live one, which saw them all; worker sessions
-- that retention forgot are forgotten here too. Called when both stand at the same position, past the edge.
create or replace function hivelog.projection_retained(in_name text, in_generation integer) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    at_edge constant timestamptz := (select r.edge_at from hivelog.retention r order by r.edge desc limit 1);
    name text; made text; unit text;
begin
    if at_edge is null then
        return;
    end if;
    foreach name in array hivelog.projection_tables(in_name) loop
        -- A generation below 0 is in the caller's temporary tables, so this runs with the caller's rights.
        made := case when in_generation < 0 then format('pg_temp.%I', name)
            else format('hivelog.%I', name || '_g' || in_generation) end;
        unit := case name when 'queue_minutes' then 'minute' when 'queue_hours' then 'hour' when 'failures' then 'hour' end;
        if unit is not null then
            execute format('delete from %s t where t.%I <= date_trunc(%L, $1, ''UTC'')', made, unit, unit)
            using at_edge;
            execute format('insert into %s select t.* from hivelog.%I t where t.%I <= date_trunc(%L, $1, ''UTC'')',
                made, name, unit, unit) using at_edge;
        elsif name = 'workers' then
            execute format('delete from %s w where w.ended_at <= $1', made) using at_edge;
            execute format('update %s w set completed = greatest(w.completed, l.completed),
                failed = greatest(w.failed, l.failed)
                from hivelog.workers l where l.id = w.id and w.started_at <= $1', made) using at_edge;
        end if;
    end loop;
end $$;
