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
language plpgsql immutable parallel safe as $$
declare
    longer integer[] := case when cardinality(a) < cardinality(b) then b else a end;
    shorter constant integer[] := case when cardinality(a) < cardinality(b) then a else b end;
begin
    -- A loop: to make and read a set costs ten times as much for so few elements.
    for n in 1 .. cardinality(shorter) loop
        longer[n] := longer[n] + shorter[n];
    end loop;
    return longer;
end $$;
-- Sparse counts {slot: count} -> array whose element slot + 1 is the count; empty for no counts.
create or replace function hivelog.counts_by_slot(slots integer[], counts integer[]) returns integer[]
language plpgsql immutable parallel safe as $$
declare
    dense integer[] := '{}'; last integer := -1;
begin
    for n in 1 .. coalesce(cardinality(slots), 0) loop
        last := greatest(last, slots[n]);
    end loop;
    dense := array_fill(0, array[last + 1]);
    for n in 1 .. coalesce(cardinality(slots), 0) loop
        dense[slots[n] + 1] := counts[n];
    end loop;
    return dense;
end $$;
