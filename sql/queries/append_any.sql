-- hivelog.append with every parameter, for batches of any mixture (events/parameters.py). Its answer is one column, a
-- record of all that the function gives: as a table, `from hivelog.append(..)`, it would pass through a store of rows,
-- which costs a small batch a tenth of its time.
select hivelog.append(
    %s::uuid, %s::integer,
    %s::uuid[], %s::smallint[], %s::integer[], %s::smallint[], %s::integer[], %s::timestamptz[],
    %s::timestamptz[], %s::text[], %s::jsonb[], %s::smallint[], %s::integer[], %s::bytea[], %s::bytea[],
    %s::smallint[], %s::bytea[], %s::bytea[], %s::jsonb, %s::boolean,
    %s::uuid[], %s::bigint[], %s::text[], %s::integer[], %s::timestamptz[], %s::smallint[], %s::jsonb[],
    %s::integer[], %s::bytea[], %s::smallint[], %s::bytea[], %s::boolean, %s::timestamptz,
    %s::jsonb, %s::jsonb,
    %s::integer[], %s::smallint[], %s::integer[], %s::smallint[], %s::uuid[], %s::jsonb, %s::bigint
)
