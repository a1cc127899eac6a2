-- The last epoch as it was written down, and the server as it is now.
-- Answer: epoch, its system_identifier and timeline (NULLs before the first start), the server's
-- system_identifier and timeline.
select e.epoch, e.system_identifier, e.timeline, s.system_identifier, s.timeline
from hivelog.server_identity() s
left join lateral (select * from hivelog.identity i order by i.epoch desc limit 1) e on true
