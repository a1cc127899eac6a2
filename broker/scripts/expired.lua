-- Claims past their deadline, for the sweep to ask PostgreSQL about.
--
-- ARGV[1]: {limit}. Answers {{claim, queue, type, score, ids, queue, type, score, ids, ...}, ...}.
local limit = cmsgpack.unpack(ARGV[1]).limit
build = redis.call('HGET', AT, 'build')
if not build then return {} end
local now = redis.call('TIME')
local till = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', key('claims'), '-inf', whole(till), 'LIMIT', 0, limit)
local answer = {}
for i, claim in ipairs(due) do
    local items, row = redis.call('HGET', key('claim', claim), 'items'), {claim}
    for _, group in ipairs(items and cmsgpack.unpack(items) or {}) do
        for field = 1, 4 do row[#row + 1] = group[field] end
    end
    answer[i] = row
end
return answer
