-- hivelog.append for a worker's turn: ends of leases, then starts by id. What the caller knows of a start it
-- finds again by t_n. Few parameters and columns for the same reason as in append_enqueues.sql.
select head, first, recorded_at, refused_section, refused_n, refused_code, refused_job,
    m_queue, m_pending, m_ready, m_running,
    t_n, t_attempt, t_retry, t_spec, t_kek, t_salt, t_wrapped, t_body
from hivelog.append(
    %s::uuid, %s::integer,
    e_job => %s::uuid[], e_token => %s::bigint[], e_event => %s::text[], e_actor => %s::integer[],
    e_due => %s::timestamptz[], e_retry => %s::smallint[], e_data => %s::jsonb[], e_size => %s::integer[],
    e_digest => %s::bytea[], e_slot => %s::smallint[], e_body => %s::bytea[], e_large => %s::boolean,
    s_session => %s::integer[], s_queue => %s::smallint[], s_type => %s::integer[],
    s_priority => %s::smallint[], s_job => %s::uuid[], s_bytes => %s::bigint
)
