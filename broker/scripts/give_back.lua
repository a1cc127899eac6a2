-- Puts a claim's ids back that its worker will not start (it stops, or the log is away).
--
-- ARGV[1]: {claim}. Answers done; gone (nobody holds it any more); changed (the log has moved on since, so
-- the ids may not be ready: the claim is due now, and a sweep that asks PostgreSQL decides).
local claim = cmsgpack.unpack(ARGV[1]).claim
local at = redis.call('HMGET', AT, 'position', 'build')
if not at[1] or not at[2] then return 'gone' end
build = at[2]
local held = redis.call('HMGET', key('claim', claim), 'position', 'items')
if not held[1] then return 'gone' end
if held[1] ~= at[1] then
    redis.call('ZADD', key('claims'), 'XX', 0, claim)
    return 'changed'
end
local woken = {}
resolve(claim)
for _, group in ipairs(cmsgpack.unpack(held[2])) do
    add(group[1], group[2], group[3], group[4])
    woken[group[1]] = 'ids'
end
wake(woken)
return 'done'
