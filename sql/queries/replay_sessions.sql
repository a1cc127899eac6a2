-- The workers of a queue that lived in a window: (slots, started, ended: null if it lives), in ms since origin.
-- Parameters: queue (its name), until (the first moment after it), origin (its first moment).
select w.slots, round(date_part('epoch', w.started_at - %(origin)s::timestamptz) * 1000)::bigint,
    round(date_part('epoch', w.ended_at - %(origin)s::timestamptz) * 1000)::bigint
from hivelog.workers w
where w.queues @> array[%(queue)s::text] and w.started_at < %(until)s
    and (w.ended_at is null or w.ended_at > %(origin)s)
order by w.started_at
