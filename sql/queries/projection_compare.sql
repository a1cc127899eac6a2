-- How many rows of two generations of a table differ; one that is in neither twin counts once a side.
-- The tables as {old}, {new}.
select (select count(*) from (table {old} except all table {new}) x)
    + (select count(*) from (table {new} except all table {old}) x)
