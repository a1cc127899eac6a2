-- The log's last position at a time: everything with recorded_at <= at counts. 0 before the first event.
-- A search by halves over the batches, which are in order of both position and time; before the oldest of
-- them, which keep a day, over the events themselves.
create or replace function hivelog.position_at(at timestamptz) returns bigint
language plpgsql stable as $$
declare
    low bigint := 0; high bigint; middle bigint; found_position bigint; found_at timestamptz;
    oldest bigint; oldest_at timestamptz;
begin
    select b.position into high from hivelog.batches b order by b.position desc limit 1;
    select b.first, b.recorded_at into oldest, oldest_at from hivelog.batches b
    where b.position > 0 order by b.position limit 1;
    if oldest > 1 and at < oldest_at then
        return hivelog.event_position_at(at, oldest - 1);
    end if;
    -- low: a batch's end (or 0) that counts; above high: nothing that counts.
    while low < high loop
        middle := low + (high - low + 1) / 2;
        select b.position, b.recorded_at into found_position, found_at
        from hivelog.batches b where b.position <= middle order by b.position desc limit 1;
        if found_position is null or found_position <= low then
            -- No batch ends in (low, middle], or none is kept that early: look at the first one above.
            select b.position, b.recorded_at into found_position, found_at
            from hivelog.batches b where b.position > middle order by b.position limit 1;
            if found_position is null or found_position > high then
                high := low;
                continue;
            end if;
        end if;
        if found_at <= at then
            low := found_position;
        else
            high := least(middle, found_position - 1);
        end if;
    end loop;
    return low;
end $$;
-- The same by the events alone, of those up to `high`.
create or replace function hivelog.event_position_at(at timestamptz, high bigint) returns bigint
language plpgsql stable as $$
declare
    low bigint := 0; middle bigint; found_position bigint; found_at timestamptz;
begin
    while low < high loop
        middle := low + (high - low + 1) / 2;
        -- After the edge of retention every position is there.
        select e.position, e.recorded_at into found_position, found_at
        from hivelog.events e where e.position >= middle order by e.position limit 1;
        if found_position is null or found_position > high or found_at > at then
            high := middle - 1;
        else
            low := found_position;
        end if;
    end loop;
    return low;
end $$;
