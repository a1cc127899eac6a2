-- hivelog.append with every parameter, for batches of any mixture (events/parameters.py).
select head, first, recorded_at, refused_section, refused_n, refused_code, refused_job,
    m_queue, m_pending, m_ready, m_running,
    t_n, t_attempt, t_retry, t_spec, t_kek, t_salt, t_wrapped, t_body,
    p_session, p_queue, p_priority, p_job
from hivelog.append(
    %s::uuid, %s::integer,
    %s::uuid[], %s::smallint[], %s::integer[], %s::smallint[], %s::integer[], %s::timestamptz[],
    %s::timestamptz[], %s::text[], %s::jsonb[], %s::smallint[], %s::integer[], %s::bytea[], %s::bytea[],
    %s::smallint[], %s::bytea[], %s::bytea[], %s::jsonb, %s::boolean,
    %s::uuid[], %s::bigint[], %s::text[], %s::integer[], %s::timestamptz[], %s::smallint[], %s::jsonb[],
    %s::integer[], %s::bytea[], %s::smallint[], %s::bytea[], %s::boolean, %s::timestamptz,
    %s::jsonb, %s::jsonb,
    %s::integer[], %s::smallint[], %s::integer[], %s::smallint[], %s::uuid[], %s::jsonb, %s::bigint
)
