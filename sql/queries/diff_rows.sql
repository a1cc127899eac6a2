-- Where the rows of a projection's table ({found}) are not those that the log makes ({expected}), column by column.
-- {key}: the table's key. Parameter: most (rows).
-- Answer: (subject: the key's values, what: the column, or `row` where one side has none, expected, found as JSON).
with differing as (
    select concat_ws(' ', {key}) as subject, to_jsonb(e) as expected, to_jsonb(f) as found
    from {expected} e full join {found} f using ({key})
    where e is distinct from f
    order by {key} limit %(most)s
)
select d.subject, c.what, c.expected, c.found
from differing d
cross join lateral (
    select 'row', d.expected, d.found where d.expected is null or d.found is null
    union all
    select n.name, d.expected -> n.name, d.found -> n.name
    from jsonb_object_keys(d.expected) n (name)
    where d.found is not null and d.expected -> n.name is distinct from d.found -> n.name
) c (what, expected, found)
