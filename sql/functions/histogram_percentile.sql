-- The time in seconds that this share of the samples of a histogram does not exceed (nearest rank); null for none.
-- Names nothing of this schema, which reporting users may not see: bucket 0 is 0 ms, the others as hivelog.bucket_ms.
create or replace function hivelog.histogram_percentile(counts integer[], share double precision)
returns double precision language sql immutable parallel safe as $$
    select case when s.slot = 0 then 0 else (
        ceil(2 ^ ((s.slot - 1) / 8.0::double precision) - 1e-6)
        + ceil(2 ^ (s.slot / 8.0::double precision) - 1e-6) - 1) / 2000 end
    from (
        select min(x.slot) as slot from (
            select u.n - 1 as slot, sum(u.count) over (order by u.n) as rank, sum(u.count) over () as total
            from unnest(counts) with ordinality u (count, n)
        ) x
        where x.total > 0 and x.rank >= ceil(x.total * share)
    ) s
$$;
