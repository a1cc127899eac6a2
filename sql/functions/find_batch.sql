-- Did this batch reach the log? For a process whose connection died before the answer came. Waits for the
-- lock, so that an append of the dead connection that still runs is over; `in_after` is the head that the
-- process knew before, and bounds the search. Where the answer is no it stays no: one that is still on its
-- way is refused when it comes (HL003), however late.
create or replace function hivelog.find_batch(
    in_batch uuid, in_after bigint, out first bigint, out head bigint, out recorded_at timestamptz
) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock(hivelog.append_lock());
    select b.first, b.position, b.recorded_at into first, head, recorded_at
    from hivelog.batches b where b.position > in_after and b.batch_id = in_batch;
    if not found then
        delete from hivelog.void_batches v where v.voided_at < hivelog.now() - interval '1 day';
        insert into hivelog.void_batches values (in_batch, hivelog.now()) on conflict do nothing;
    end if;
end $$;
