-- Seals that end at these positions, as in seal_page.sql. Parameters: positions.
select s.position, s.epoch, s.first, s.format, s.key, s.sealed_at, s.root, s.previous, s.names, s.signature,
    null::bytea
from hivelog.seals s where s.position = any (%(positions)s::bigint[]) order by s.position
