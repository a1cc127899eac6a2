-- Jobs that carry what is asked for, by the index of terms, in no order: at most `most` of them. A plan for any
-- question must not look through the table, however common the one it was made with.
create or replace function hivelog.search_matches(question tsquery, most integer) returns setof uuid
language sql stable set enable_seqscan = off as $$
    select s.job from hivelog.search s where s.terms @@ question limit most
$$;
