-- hivelog.append for a batch that only enqueues (events/parameters.py): each parameter and each
-- column of an answer costs time of its own, and most batches need few of them.
select head, first, recorded_at, refused_section, refused_n, refused_code, refused_job,
    m_queue, m_pending, m_ready, m_running
from hivelog.append(
    %s::uuid, %s::integer,
    n_job => %s::uuid[], n_queue => %s::smallint[], n_type => %s::integer[], n_priority => %s::smallint[],
    n_actor => %s::integer[], n_due => %s::timestamptz[], n_expires => %s::timestamptz[],
    n_correlation => %s::text[], n_spec => %s::jsonb[], n_spec_of => %s::smallint[],
    n_size => %s::integer[], n_digest => %s::bytea[], n_salt => %s::bytea[],
    n_kek => %s::smallint[], n_wrapped => %s::bytea[], n_body => %s::bytea[],
    keys => %s::jsonb, n_outbox => %s::boolean
)
