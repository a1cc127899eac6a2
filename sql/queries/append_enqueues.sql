-- hivelog.append for a batch that only enqueues (events/parameters.py): each parameter costs
-- time of its own, and most batches need few of them. The answer is a record, as in append_any.sql.
select hivelog.append(
    %s::uuid, %s::integer,
    n_job => %s::uuid[], n_queue => %s::smallint[], n_type => %s::integer[], n_priority => %s::smallint[],
    n_actor => %s::integer[], n_due => %s::timestamptz[], n_expires => %s::timestamptz[],
    n_correlation => %s::text[], n_spec => %s::jsonb[], n_spec_of => %s::smallint[],
    n_size => %s::integer[], n_digest => %s::bytea[], n_salt => %s::bytea[],
    n_kek => %s::smallint[], n_wrapped => %s::bytea[], n_body => %s::bytea[],
    keys => %s::jsonb, n_outbox => %s::boolean
)
