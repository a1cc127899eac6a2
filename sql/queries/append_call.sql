-- The call of hivelog.append with typed positional parameters (events/batch.py, columns).
select * from hivelog.append(
    %s::uuid, %s::integer,
    %s::uuid[], %s::smallint[], %s::integer[], %s::smallint[], %s::integer[], %s::timestamptz[],
    %s::timestamptz[], %s::text[], %s::jsonb[], %s::integer[], %s::bytea[], %s::bytea[], %s::smallint[],
    %s::bytea[], %s::bytea[], %s::jsonb, %s::boolean,
    %s::uuid[], %s::bigint[], %s::text[], %s::integer[], %s::timestamptz[], %s::smallint[], %s::jsonb[],
    %s::integer[], %s::bytea[], %s::smallint[], %s::bytea[], %s::boolean, %s::timestamptz,
    %s::jsonb, %s::jsonb,
    %s::integer[], %s::smallint[], %s::integer[], %s::smallint[], %s::uuid[], %s::jsonb, %s::bigint
)
