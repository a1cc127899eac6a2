-- The bytes of an event `e` in format 1 of seals: all its columns as PostgreSQL sends a record.
'\x00'::bytea || pg_catalog.record_send(row(
    e.position, e.recorded_at, e.stream, e.version, e.type::text, e.actor, e.body_size, e.queue, e.attempt,
    e.schema, e.body_digest, e.correlation, e.data))
