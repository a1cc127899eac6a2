-- May this lease end so? A cancelling job only completes or is cancelled; nobody is lost who just beat.
create or replace function hivelog.end_allowed(
    event text, cancelling timestamptz, session integer, alive integer[]
) returns boolean language sql immutable parallel safe as $$
    select (cancelling is null or event in ('completed', 'cancelled'))
        and (event <> 'lost' or alive is null or session <> all (alive))
$$;
