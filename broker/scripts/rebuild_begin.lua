-- Compare-and-set: one build at a time. A builder that dies is forgotten after `ttl` ms.
--
-- ARGV[1]: {build, ttl}. Answers 1 if it is ours now, 0 if another is under way.
local ask = cmsgpack.unpack(ARGV[1])
return redis.call('SET', PREFIX .. 'building', ask.build, 'NX', 'PX', ask.ttl) and 1 or 0
