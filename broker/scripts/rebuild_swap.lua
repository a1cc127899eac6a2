-- A finished build becomes the live one, with the checkpoint of its snapshot; the old one is dropped.
--
-- ARGV[1]: {build, epoch, position, log (its name), queues: [[queue, running, paused, max]...]}.
-- Answers 1, or 0 if the build is not ours any more (then nothing changed).
local ask = cmsgpack.unpack(ARGV[1])
if redis.call('GET', PREFIX .. 'building') ~= ask.build then return 0 end

local function all_keys()
    local keys = {key('queues'), key('claims')}
    for _, queue in ipairs(redis.call('SMEMBERS', key('queues'))) do
        keys[#keys + 1] = key('s', queue)
        keys[#keys + 1] = key('t', queue)
        for _, type in ipairs(redis.call('SMEMBERS', key('t', queue))) do
            keys[#keys + 1] = key('q', queue, type)
        end
    end
    for _, claim in ipairs(redis.call('ZRANGE', key('claims'), 0, -1)) do
        keys[#keys + 1] = key('claim', claim)
    end
    return keys
end

local at, woken = redis.call('HMGET', AT, 'epoch', 'build'), {}
if at[2] and at[2] ~= ask.build then
    build = at[2]
    for _, each in ipairs(all_keys()) do redis.call('UNLINK', each) end
end
build = ask.build
for _, each in ipairs(all_keys()) do redis.call('PERSIST', each) end
for _, entry in ipairs(ask.queues) do
    set_queue(entry, woken)
    redis.call('HSET', key('s', entry[1]), 'popped', 0, 'hungry', 1)
    woken[entry[1]] = 'ids'
end
if not at[1] or tonumber(at[1]) ~= ask.epoch then redis.call('DEL', PREFIX .. 'early') end
local position = apply_early(ask.position, ask.position, true, woken)
redis.call('HSET', AT, 'epoch', ask.epoch, 'position', whole(position), 'build', build, 'jump', whole(position), 'log', ask.log)
redis.call('DEL', PREFIX .. 'building')
wake(woken)
return 1
