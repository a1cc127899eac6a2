-- The oldest jobs of the outbox, at most 500 and some 2 MiB of payload, but always one; of those that were enqueued
-- no more than %(back)s seconds ago.
-- Answer: id, queue, type, payload (JSON text), options (JSON text, without the key), caller, created_at, key and
-- fingerprint (of the idempotency key, else NULL).
select o.id, o.queue, o.type, o.payload::text, (o.options - 'idempotency_key')::text, o.caller, o.created_at,
    case when o.options ? 'idempotency_key'
        then hivelog.outbox_key(o.caller, o.queue, o.options ->> 'idempotency_key') end,
    case when o.options ? 'idempotency_key'
        then hivelog.outbox_fingerprint(o.type, o.payload, o.options) end
from (
    select x.*, sum(octet_length(x.payload::text)) over (order by x.id) as bytes,
        row_number() over (order by x.id) as n
    from (
        select * from hivelog.outbox y
        where y.id > (select hivelog.lowest_job_id(hivelog.now() - make_interval(secs => %(back)s)))
        order by y.id limit 500
    ) x
) o
where o.bytes <= 2097152 or o.n = 1
order by o.id
