-- Seals that cover positions from `low` on, in order.
-- Parameters: low, limit, prints (false: without them).
-- Answer: position, epoch, first, format, key, sealed_at, root, previous, names, signature, prints.
select s.position, s.epoch, s.first, s.format, s.key, s.sealed_at, s.root, s.previous, s.names, s.signature,
    case when %(prints)s then s.prints end
from hivelog.seals s where s.position >= %(low)s order by s.position limit %(limit)s
