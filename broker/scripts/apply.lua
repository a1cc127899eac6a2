-- Put after prelude.lua where feed messages are applied (feed, rebuild_swap). Not a script itself.
--
-- A message is final state: after it, every id it names is where the log says at `to`. So it may be applied
-- to any checkpoint from `from - 1` to `to`, which is what closes a gap that a catch-up has half closed.
--   {epoch, from, to, state (from a catch-up), adds: [group...], dels: [[queue, type or -1, ids]...],
--    queues: [[queue, running, paused, max]...] (-1 = as it was; max -2 = none),
--    claims: [[claim, total, started: [[queue, type, ids]...], back: [group...]]...]}

-- The sweep asks PostgreSQL about it within a second.
local function make_due(claim)
    redis.call('ZADD', key('claims'), 'XX', 0, claim)
end

local function settle(entry, jump)
    local claim, total, started, back = entry[1], entry[2], entry[3], entry[4]
    local held = redis.call('HMGET', key('claim', claim), 'position', 'total', 'counts')
    if not held[1] or tonumber(held[1]) < jump then
        -- Swept, or older than a catch-up or another's sweep: each may have put the started ids back.
        for _, group in ipairs(started) do remove(group[1], group[2], group[3]) end
    end
    if not held[1] then return end  -- and the refused ones were seen to by whoever took the claim away
    if tonumber(held[2]) ~= total then return make_due(claim) end
    resolve(claim, held[3])
    -- Without waking anybody: whoever popped them now would be refused as well.
    for _, group in ipairs(back) do
        add(group[1], group[2], group[3], group[4])
    end
end

local function set_queue(entry, woken)
    local queue, running, paused, max = entry[1], entry[2], entry[3], entry[4]
    local fields = {}
    local function set(name, value)
        fields[#fields + 1] = name
        fields[#fields + 1] = value
    end
    if running >= 0 then set('running', running) end
    if paused >= 0 then set('paused', paused) end
    if max ~= -1 then set('max', max == -2 and '' or max) end
    if #fields > 0 and redis.call('HSET', key('s', queue), unpack(fields)) > 0 then
        redis.call('SADD', key('queues'), queue)  -- never seen before
    end
    if paused == 0 or max ~= -1 then
        woken[queue] = 'ids'
    elseif not woken[queue] then
        woken[queue] = 'room'
    end
end

local function apply(message, jump, woken)
    for _, entry in ipairs(message.claims) do settle(entry, jump) end
    for _, group in ipairs(message.dels) do remove(group[1], group[2], group[3]) end
    for _, group in ipairs(message.adds) do
        add(group[1], group[2], group[3], group[4])
        woken[group[1]] = 'ids'
    end
    for _, entry in ipairs(message.queues) do set_queue(entry, woken) end
end

-- A message that somebody else's catch-up has overtaken: only its claims are news, and what they hand back
-- may have changed since.
local function settle_late(message)
    for _, entry in ipairs(message.claims) do
        if #entry[4] == 0 and tonumber(redis.call('HGET', key('claim', entry[1]), 'total') or -1) == entry[2] then
            resolve(entry[1])
        else
            make_due(entry[1])
        end
    end
end

-- What waited behind the gap. After a jump a buffered message may begin before the checkpoint.
local function apply_early(position, jump, jumped, woken)
    local early = PREFIX .. 'early'
    if jumped then
        local waiting = {}
        for _, from in ipairs(redis.call('HKEYS', early)) do waiting[#waiting + 1] = tonumber(from) end
        table.sort(waiting)
        for _, from in ipairs(waiting) do
            if from > position + 1 then break end
            local message = cmsgpack.unpack(redis.call('HGET', early, whole(from)))
            redis.call('HDEL', early, whole(from))
            if message.to > position then
                apply(message, jump, woken)
                position = message.to
            else
                settle_late(message)
            end
        end
    end
    local packed = redis.call('HGET', early, whole(position + 1))
    while packed do
        redis.call('HDEL', early, whole(position + 1))
        local message = cmsgpack.unpack(packed)
        apply(message, jump, woken)
        position = message.to
        packed = redis.call('HGET', early, whole(position + 1))
    end
    return position
end
