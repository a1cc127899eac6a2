-- Which ends of leases this append refused, and why; their bodies leave the vault again.
-- Read from the log itself: an accepted end has its event in (low, high], and no later start than its own.
create or replace function hivelog.append_end_refusals(
    e_job uuid[], e_token bigint[], e_slot smallint[], low bigint, high bigint
) returns table (n integer, code text) language plpgsql volatile as $$
#variable_conflict use_column
begin
    return query
    with refused as (
        select u.n::integer as n, u.job, u.token, u.slot
        from unnest(e_job, e_token, e_slot) with ordinality u (job, token, slot, n)
        where not exists (
            select from hivelog.events x
            where x.position > low and x.position <= high and x.stream = u.job
        ) or exists (
            -- Another end of this job was accepted here: the one that names the newest lease.
            select from hivelog.events y
            where y.stream = u.job and y.type = 'started' and y.position > u.token and y.position <= low
        )
    ), cleaned as (
        -- Only what this very transaction wrote: a repeated settle must not erase the first answer.
        delete from hivelog.vault v using refused r
        where v.job = r.job and v.slot = r.slot and v.token = r.token
            and v.xmin = pg_current_xact_id()::xid
    )
    select r.n, case
        when l.job is null or l.token <> r.token then 'stale_token'
        when l.cancelling is not null then 'cancelling'
        else 'session_alive' end
    from refused r left join hivelog.leases l on l.job between r.job and r.job;
end $$;
