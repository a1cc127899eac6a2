-- Moves jobs that the append refused out of the outbox, to where health and people see them. Takes the whole
-- rows, since the append may have taken them out of the outbox already.
-- Parameters, in step: ids, queues, types, payloads, options, callers, created, codes.
with gone as (
    delete from hivelog.outbox o where o.id = any (%(ids)s::uuid[])
)
insert into hivelog.outbox_refused (id, queue, type, payload, options, caller, created_at, refused_at, code)
select u.id, u.queue, u.type, u.payload, u.options, u.caller, u.created_at, hivelog.now(), u.code
from unnest(%(ids)s::uuid[], %(queues)s::text[], %(types)s::text[], %(payloads)s::jsonb[], %(options)s::jsonb[],
    %(callers)s::text[], %(created)s::timestamptz[], %(codes)s::text[])
    u (id, queue, type, payload, options, caller, created_at, code)
on conflict do nothing
