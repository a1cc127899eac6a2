-- hivelog.append for a worker's turn: ends of leases, then starts by id. What the caller knows of a start it
-- finds again by t_n. Few parameters for the same reason as in append_enqueues.sql.
select hivelog.append(
    %s::uuid, %s::integer,
    e_job => %s::uuid[], e_token => %s::bigint[], e_event => %s::text[], e_actor => %s::integer[],
    e_due => %s::timestamptz[], e_retry => %s::smallint[], e_data => %s::jsonb[], e_size => %s::integer[],
    e_digest => %s::bytea[], e_slot => %s::smallint[], e_body => %s::bytea[], e_large => %s::boolean,
    s_session => %s::integer[], s_queue => %s::smallint[], s_type => %s::integer[],
    s_priority => %s::smallint[], s_job => %s::uuid[], s_bytes => %s::bigint
)
