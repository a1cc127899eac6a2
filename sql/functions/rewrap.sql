-- Replaces wrapped data keys, each only if it still is the one that was read (an erased job stays erased).
-- Parameters, in step: jobs, their old wrapped keys, and the new ones under the KEK with number in_kek.
-- Answers how many changed.
create or replace function hivelog.rewrap(
    jobs uuid[], olds bytea[], in_kek smallint, news bytea[]
) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    changed integer;
begin
    -- One at a time: two rotations would lock the same rows in different orders.
    perform pg_advisory_xact_lock(6620113954027352);
    update hivelog.vault v set kek = in_kek, wrapped = u.new
    from unnest(jobs, olds, news) u (job, old, new)
    where v.job = u.job and v.slot = 0 and v.token = 0 and v.wrapped = u.old;
    get diagnostics changed = row_count;
    return changed;
end $$;
