-- What Redis holds, to compare with the log; also corrects `popped` where it is not what the claims hold.
--
-- No ARGV. Answers {epoch, position, {queue, waiting ids, popped ids, running, paused, max}, ...} (the
-- state fields as strings, '' if missing); {-1, -1} without a checkpoint.
local at = redis.call('HMGET', AT, 'epoch', 'position', 'build')
if not at[2] or not at[3] then return {-1, -1} end
build = at[3]
local popped = {}
for _, claim in ipairs(redis.call('ZRANGE', key('claims'), 0, -1)) do
    local counts = redis.call('HGET', key('claim', claim), 'counts')
    for _, pair in ipairs(counts and cmsgpack.unpack(counts) or {}) do
        popped[pair[1]] = (popped[pair[1]] or 0) + pair[2]
    end
end
local answer = {tonumber(at[1]), tonumber(at[2])}
for _, queue in ipairs(redis.call('SMEMBERS', key('queues'))) do
    local waiting, held = 0, popped[tonumber(queue)] or 0
    for _, type in ipairs(redis.call('SMEMBERS', key('t', queue))) do
        waiting = waiting + redis.call('ZCARD', key('q', queue, type))
    end
    local s = redis.call('HMGET', key('s', queue), 'popped', 'running', 'paused', 'max')
    if tonumber(s[1] or 0) ~= held then redis.call('HSET', key('s', queue), 'popped', held) end
    answer[#answer + 1] = {tonumber(queue), waiting, held, s[2] or '', s[3] or '', s[4] or ''}
end
return answer
