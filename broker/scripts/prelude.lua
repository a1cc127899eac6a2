-- Put before every other script. Not a script itself.
--
-- Every script takes KEYS[1] = the checkpoint hash `at` (epoch, position, build, jump, log) and, where it says
-- so, ARGV[1] = one msgpack map. All other keys begin like KEYS[1] and so share its cluster slot; those that
-- hold state carry the build in their name, so that a rebuild takes over by changing one field of `at`:
--   <build>:q:<queue>:<type>  ZSET  ready ids; score = -priority, member = the id's 16 bytes
--   <build>:t:<queue>         SET   types seen; <build>:queues SET of queues seen
--   <build>:s:<queue>         HASH  paused, max ('' = none), running, popped, hungry (a claim found too little),
--                                   waiter (that claim's session and types, cmsgpack)
--   <build>:claims            ZSET  claim -> deadline (ms, this server's clock)
--   <build>:claim:<claim>     HASH  position (checkpoint at the claim), total, counts, items (both cmsgpack)
--   early                     HASH  from -> feed message that waits for the gap before it to close
--   building                  the build under way, with an expiry
-- Lists of ids travel as one string of 16 bytes each: a `group` is {queue, type, score, ids}.
local AT = KEYS[1]
local PREFIX = string.sub(AT, 1, -3)
local CHUNK = 16 * 1000  -- ids a command takes: Lua's stack bounds its arguments
local build

-- tostring() turns large positions into 1e+15.
local function whole(number) return string.format('%.0f', number) end
local function key(...) return PREFIX .. build .. ':' .. table.concat({...}, ':') end

local function chunks(ids, command, of_id)
    for first = 1, #ids, CHUNK do
        local arguments, n = {}, 0
        for i = first, math.min(first + CHUNK, #ids + 1) - 16, 16 do
            if of_id ~= nil then
                n = n + 1
                arguments[n] = of_id
            end
            n = n + 1
            arguments[n] = string.sub(ids, i, i + 15)
        end
        command(arguments)
    end
end

local function add(queue, type, score, ids)
    local ready = key('q', queue, type)
    chunks(ids, function(arguments) redis.call('ZADD', ready, unpack(arguments)) end, score)
    redis.call('SADD', key('t', queue), type)
end

-- Type -1: whichever type they are under.
local function remove(queue, type, ids)
    local types = type >= 0 and {type} or redis.call('SMEMBERS', key('t', queue))
    for _, each in ipairs(types) do
        local ready = key('q', queue, each)
        chunks(ids, function(arguments) redis.call('ZREM', ready, unpack(arguments)) end)
    end
end

-- Forget a claim: its ids are accounted for.
local function resolve(claim, counts)
    local held = key('claim', claim)
    counts = counts or redis.call('HGET', held, 'counts')
    for _, pair in ipairs(counts and cmsgpack.unpack(counts) or {}) do
        redis.call('HINCRBY', key('s', pair[1]), 'popped', -pair[2])
    end
    redis.call('DEL', held)
    redis.call('ZREM', key('claims'), claim)
end

-- Tell the waiting workers of these queues, if a claim there ever found too little. {[queue] = 'ids'}: it
-- has new ones or was opened; 'room': one job less runs, which is news where max bounds them.
local function wake(queues)
    local told = {}
    for queue, news in pairs(queues) do
        local state = key('s', queue)
        local s = redis.call('HMGET', state, 'hungry', 'max')
        if s[1] == '1' and (news == 'ids' or (s[2] and s[2] ~= '')) then
            redis.call('HSET', state, 'hungry', '0')
            told[#told + 1] = queue
        end
    end
    if #told > 0 then
        redis.call('PUBLISH', PREFIX .. 'wake', table.concat(told, ','))
    end
end
