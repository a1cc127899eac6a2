-- Milliseconds -> number of its histogram bucket: eight to the octave, so a bucket is 9 % wide. 0 is 0 ms.
create or replace function hivelog.bucket(ms double precision) returns integer
language sql immutable parallel safe as $$
    select case when ms < 1 then 0 else 1 + floor(8 * ln(ms) / ln(2::double precision) + 1e-9)::integer end
$$;
-- Bucket -> the milliseconds that stand for it: the middle of the whole milliseconds in it. Exact up to 11.
create or replace function hivelog.bucket_ms(bucket integer) returns double precision
language sql immutable parallel safe as $$
    select case when bucket = 0 then 0 else (
        ceil(2 ^ ((bucket - 1) / 8.0::double precision) - 1e-6)
        + ceil(2 ^ (bucket / 8.0::double precision) - 1e-6) - 1) / 2 end
$$;
-- Element-wise sum of two arrays of any lengths.
create or replace function hivelog.add_counts(a integer[], b integer[]) returns integer[]
language sql immutable parallel safe as $$
    select case when cardinality(b) = 0 then a when cardinality(a) = 0 then b else array(
        select coalesce(u.x, 0) + coalesce(u.y, 0)
        from unnest(a, b) with ordinality u (x, y, n) order by u.n
    ) end
$$;
-- Sparse counts {slot: count} -> array whose element slot + 1 is the count; empty for no counts.
create or replace function hivelog.dense_counts(slots integer[], counts integer[]) returns integer[]
language sql immutable parallel safe as $$
    select coalesce(array_agg(coalesce(u.count, 0) order by s), '{}')
    from generate_series(0, (select max(x) from unnest(slots) x)) s
    left join unnest(slots, counts) u (slot, count) on u.slot = s
$$;
