-- Carries the jobs that were over and came to life again, or were erased, after `after`: nothing else can happen to
-- them. Answers how far it has looked, and how many events it carried.
create or replace function hivelog.retention_catch_up(
    in_edge bigint, after bigint, out looked_to bigint, out added bigint
) language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    select max(b.position) into looked_to from hivelog.batches b;
    insert into hivelog.events_kept_next
    select e.* from (
        select distinct x.stream from hivelog.events x
        where x.position > greatest(after, in_edge) and x.position <= looked_to
            and x.type in ('requeued', 'payload_erased')
    ) s join hivelog.events e on e.stream = s.stream and e.position <= in_edge
    on conflict do nothing;
    get diagnostics added = row_count;
end $$;
