-- Where sealing stands: the log's head and epoch, now, then the last seal (nulls before the first): position, epoch,
-- first, format, key, sealed_at, root, previous, names, signature.
select b.position, b.epoch, hivelog.now(), s.position, s.epoch, s.first, s.format, s.key, s.sealed_at, s.root,
    s.previous, s.names, s.signature
from (select * from hivelog.batches order by position desc limit 1) b
left join lateral (select * from hivelog.seals order by position desc limit 1) s on true
