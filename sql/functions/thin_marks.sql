-- Thins queue_marks with positions in (low, high]: of each queue and second only the last stays. Answers how
-- many went. The window should end a minute back; the newest mark of a queue always stays, it says what is now.
create or replace function hivelog.thin_marks(low bigint, high bigint) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
begin
    delete from hivelog.queue_marks m using (
        select w.queue, w.position, lead(date_trunc('second', w.recorded_at)) over (
            partition by w.queue order by w.position) = date_trunc('second', w.recorded_at) as covered
        from hivelog.queues q, lateral (
            select x.queue, x.position, x.recorded_at from hivelog.queue_marks x
            where x.queue = q.id and x.position > low and x.position <= high
        ) w
    ) s
    where s.covered and m.queue = s.queue and m.position = s.position;
    get diagnostics gone = row_count;
    return gone;
end $$;
