-- Living sessions that published JSON Schemas of payloads. Parameters: known (session numbers read before).
-- Answer: (id, queues, types, schemas {type: schema}), schemas null for known ones: they never change.
select s.id, s.queues, s.types, case when not s.id = any (%(known)s::integer[]) then s.schemas end
from hivelog.sessions s where s.schemas is not null
order by s.id
