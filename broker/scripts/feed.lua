-- Takes feed messages (see apply.lua) over, each exactly once and in the log's order.
--
-- ARGV: messages, in order. Answers {status, epoch, position}; status is the last message's:
--   applied  the checkpoint has passed it      stale    it had before (only its claims were settled)
--   early    kept until the gap before it closes         full     the same, but there is no room to keep it
--   rebuild  no checkpoint here, or another epoch's: nothing was done
local EARLY_MESSAGES, EARLY_BYTES = 256, 65536

local at = redis.call('HMGET', AT, 'epoch', 'position', 'build', 'jump')
if not at[2] or not at[3] then return {'rebuild', -1, -1} end
build = at[3]
local epoch, position, jump = tonumber(at[1]), tonumber(at[2]), tonumber(at[4])
local before, woken, status = position, {}, 'stale'

local function keep(message, packed)
    local early = PREFIX .. 'early'
    -- A catch-up's message ends where its reader's snapshot did: kept, it could swallow others kept before.
    if message.state or #packed > EARLY_BYTES or redis.call('HLEN', early) >= EARLY_MESSAGES then
        settle_late(message)
        return 'full'
    end
    redis.call('HSET', early, whole(message.from), packed)
    return 'early'
end

local function take(message, packed)
    if message.to < message.from then
        -- An append that wrote nothing, yet answered a claim.
        if position > message.to then settle_late(message) else apply(message, jump, woken) end
        return 'applied'
    elseif message.to <= position then
        settle_late(message)
        return 'stale'
    elseif message.from > position + 1 then
        return keep(message, packed)
    end
    local jumped = message.state or message.from <= position
    if jumped then jump = message.to end
    apply(message, jump, woken)
    position = apply_early(message.to, jump, jumped, woken)
    return 'applied'
end

for _, packed in ipairs(ARGV) do
    local message = cmsgpack.unpack(packed)
    if message.epoch ~= epoch then return {'rebuild', epoch, position} end
    status = take(message, packed)
    if position ~= before then
        redis.call('HSET', AT, 'position', whole(position), 'jump', whole(jump))
        before = position
    end
end
wake(woken)
return {status, epoch, position}
