-- The smallest n with 2^n positions no shorter than a span, or one more. Of spans with one level, those that
-- hold a position began at most 2^n before it: a B-tree of (level, begin) finds them.
create or replace function hivelog.span_level(span bigint) returns smallint
language sql immutable parallel safe as $$
    select case when span is null then 63 when span <= 1 then 0
        else floor(ln((span - 1)::double precision) / ln(2::double precision) + 1e-9)::integer + 1 end::smallint
$$;
-- How far before a position a span of this level that holds it can have begun.
create or replace function hivelog.span_start(in_level integer, in_position bigint) returns bigint
language sql immutable parallel safe as $$
    select case when in_level >= 62 then -1 else in_position - (1::bigint << in_level) end
$$;
