-- Pops ready ids for one worker, highest priority first, then oldest.
--
-- ARGV[1]: {claim, hold (ms until the sweep may take it back), limit, queues: [[queue, [type...], limit]...],
-- waiter (packed: session and types; to be told of a job that is announced when there is too little; or '')}
-- Answers {epoch, position, and four elements a block: queue, {type, score, type, score, ...}, a byte an id
-- (which of these pairs, from 0; none: all the first), ids}, in the order to run within each queue; {-1, -1}
-- where there is no checkpoint. Nothing from a paused queue, at most max - running - popped from a limited one. The room is
-- shared evenly between the queues that have work.
local ask = cmsgpack.unpack(ARGV[1])
local at = redis.call('HMGET', AT, 'epoch', 'position', 'build')
if not at[2] or not at[3] then return {-1, -1} end
build = at[3]
local answer, counts, items = {tonumber(at[1]), tonumber(at[2])}, {}, {}

-- {queue, state key, waits (as we would), avail, heads: {{type, key, count}...}}
local function look(wanted)
    local queue, state = wanted[1], key('s', wanted[1])
    local s = redis.call('HMGET', state, 'paused', 'max', 'running', 'popped', 'hungry', 'waiter')
    local room, total, heads = math.min(wanted[3], ask.limit), 0, {}
    if s[2] and s[2] ~= '' then
        room = math.min(room, tonumber(s[2]) - tonumber(s[3] or 0) - math.max(tonumber(s[4] or 0), 0))
    end
    if s[1] ~= '1' and room > 0 then
        for _, type in ipairs(wanted[2]) do
            local ready = key('q', queue, type)
            local count = redis.call('ZCARD', ready)
            if count > 0 then heads[#heads + 1] = {type, ready, count} end
            total = total + count
        end
    end
    return {queue = queue, state = state, waits = s[5] == '1' and s[6] == ask.waiter, avail = math.min(room, total), heads = heads, take = 0}
end

-- Rotated by the claim's random id, so that no queue is always the one that gets the odd job.
local function shares(found)
    local left, turn = ask.limit, string.byte(ask.claim, 1) % #found
    for round = 1, 2 do
        for i = 0, #found - 1 do
            local each = found[(turn + i) % #found + 1]
            local share = round == 1 and math.ceil(left / (#found - i)) or left
            local more = math.min(each.avail - each.take, share, left)
            each.take, left = each.take + more, left - more
        end
    end
end

-- Ids in order, and for each the place (type and score) it was at: one byte into a short list of places.
local function new_block(queue)
    return {queue = queue, known = {}, places = {}, ids_of = {}, chars = {}, ids = {}}
end

local function place_of(block, type, score)
    local name = type .. ':' .. score
    local place = block.known[name]
    if not place then
        place = #block.ids_of + 1
        block.known[name], block.ids_of[place] = place, {}
        block.places[2 * place - 1], block.places[2 * place] = type, score
    end
    return place
end

local function put(block, place, id)
    local n = #block.ids + 1
    block.ids[n], block.chars[n] = id, string.char(place - 1)
    local same = block.ids_of[place]
    same[#same + 1] = id
end

local function close(block)
    if #block.ids == 0 then return end
    local n = #answer
    answer[n + 1], answer[n + 2] = block.queue, block.places
    answer[n + 3], answer[n + 4] = table.concat(block.chars), table.concat(block.ids)
    for place, ids in ipairs(block.ids_of) do
        items[#items + 1] = {
            block.queue, block.places[2 * place - 1], tonumber(block.places[2 * place]), table.concat(ids)
        }
    end
end

-- A byte names 256 places; more are rare and take another block.
local function room_in(block)
    if #block.ids_of < 256 then return block end
    close(block)
    return new_block(block.queue)
end

-- Where first and last have one score, so have all between: no id needs a look of its own.
local function pop_alike(block, head, count)
    local first = redis.call('ZRANGE', head[2], 0, 0, 'WITHSCORES')[2]
    if redis.call('ZRANGE', head[2], count - 1, count - 1, 'WITHSCORES')[2] ~= first then
        return false
    end
    local place = place_of(block, head[1], first)
    block.ids = redis.call('ZRANGE', head[2], 0, count - 1)
    block.ids_of[place], block.chars = block.ids, {}
    redis.call('ZREMRANGEBYRANK', head[2], 0, count - 1)
    return true
end

local function pop_one(block, head, count)
    if count > 4 and pop_alike(block, head, count) then return block end
    local popped = redis.call('ZPOPMIN', head[2], count)
    local place, score
    for i = 1, #popped, 2 do
        if popped[i + 1] ~= score then
            score, block = popped[i + 1], room_in(block)
            place = place_of(block, head[1], score)
        end
        put(block, place, popped[i])
    end
    return block
end

-- The head's next id, as numbers: `<` on strings would follow the server's locale. Lists are fetched in
-- portions, so that many types cost no more than few.
local function advance(head)
    head.next = head.next + 2
    local id = head.list[head.next]
    if not id then
        if head.fetched >= head.count then return false end
        local last = math.min(head.fetched + head.portion, head.count)
        head.list = redis.call('ZRANGE', head.key, head.fetched, last - 1, 'WITHSCORES')
        head.fetched, head.next, id = last, 1, head.list[1]
    end
    local raw = head.list[head.next + 1]
    if raw ~= head.raw then head.raw, head.score, head.block = raw, tonumber(raw), nil end
    head.id, head.high, head.middle, head.low = id, struct.unpack('>I6I6I4', id)
    return true
end

local function before(a, b)
    if a.score ~= b.score then return a.score < b.score end
    if a.high ~= b.high then return a.high < b.high end
    if a.middle ~= b.middle then return a.middle < b.middle end
    return a.low < b.low
end

local function take_from(block, head)
    if head.block ~= block then
        block = room_in(block)
        head.block, head.place = block, place_of(block, head.type, head.raw)
    end
    put(block, head.place, head.id)
    head.taken = head.taken + 1
    return block
end

local function pop_merged(block, sources, count)
    local heads, all = {}, {}
    for i, source in ipairs(sources) do
        local head = {
            type = source[1], key = source[2], count = source[3], portion = math.ceil(count / #sources) + (count > 16 and 8 or 1),
            list = {}, next = -1, fetched = 0, taken = 0,
        }
        advance(head)
        heads[i], all[i] = head, head
    end
    for _ = 1, count do
        local best = 1
        for i = 2, #heads do
            if before(heads[i], heads[best]) then best = i end
        end
        block = take_from(block, heads[best])
        if not advance(heads[best]) then table.remove(heads, best) end
    end
    for _, head in ipairs(all) do
        if head.taken > 0 then redis.call('ZREMRANGEBYRANK', head.key, 0, head.taken - 1) end
    end
    return block
end

local function pop(each)
    local block = new_block(each.queue)
    if #each.heads == 1 then
        block = pop_one(block, each.heads[1], each.take)
    else
        block = pop_merged(block, each.heads, each.take)
    end
    close(block)
    counts[#counts + 1] = {each.queue, each.take}
    redis.call('HINCRBY', each.state, 'popped', each.take)
end

local found, asked, total = {}, {}, 0
for i, wanted in ipairs(ask.queues) do
    asked[i] = look(wanted)
    if asked[i].avail > 0 then found[#found + 1] = asked[i] end
end
if #found > 0 then shares(found) end
for _, each in ipairs(found) do
    if each.take > 0 then
        pop(each)
        total = total + each.take
    end
end
if total > 0 then
    local now = redis.call('TIME')
    local deadline = now[1] * 1000 + math.floor(now[2] / 1000) + ask.hold
    redis.call('HSET', key('claim', ask.claim), 'position', at[2], 'total', total,
        'counts', cmsgpack.pack(counts), 'items', cmsgpack.pack(items))
    redis.call('ZADD', key('claims'), whole(deadline), ask.claim)
end
if total < ask.limit then
    for _, each in ipairs(asked) do
        if not each.waits then redis.call('HSET', each.state, 'hungry', '1', 'waiter', ask.waiter) end
    end
end
return answer
