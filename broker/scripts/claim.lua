-- Pops ready ids for one worker, highest priority first, then oldest.
--
-- ARGV[1]: {claim, hold (ms until the sweep may take it back), limit, queues: [[queue, [type...], limit]...]}
-- Answers {epoch, position, queue, type, score, ids, queue, type, score, ids, ...} in the order to run
-- within each queue; {-1, -1} where there is no checkpoint. Nothing from a paused queue, at most
-- max - running - popped from a limited one. The room is shared evenly between the queues that have work.
local ask = cmsgpack.unpack(ARGV[1])
local at = redis.call('HMGET', AT, 'epoch', 'position', 'build')
if not at[2] or not at[3] then return {-1, -1} end
build = at[3]
local answer, counts, items = {tonumber(at[1]), tonumber(at[2])}, {}, {}

-- {queue, state key, hungry, avail, heads: {{type, key, count}...}}
local function look(wanted)
    local queue, state = wanted[1], key('s', wanted[1])
    local s = redis.call('HMGET', state, 'paused', 'max', 'running', 'popped', 'hungry')
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
    return {queue = queue, state = state, hungry = s[5] == '1', avail = math.min(room, total), heads = heads, take = 0}
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

local function emit(queue, type, score, ids)
    if #ids == 0 then return end
    local n, joined = #answer, table.concat(ids)
    answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = queue, type, score, joined
    items[#items + 1] = {queue, type, score, joined}
end

-- Runs of one type and score become one group. `pairs` is {id, score, id, score...}.
local function emit_runs(queue, types, popped)
    local run, run_type, run_score = {}, nil, nil
    for i = 1, #popped, 2 do
        local type, score = types[(i + 1) / 2] or types[1], popped[i + 1]
        if type ~= run_type or score ~= run_score then
            emit(queue, run_type, run_score, run)
            run, run_type, run_score = {}, type, score
        end
        run[#run + 1] = popped[i]
    end
    emit(queue, run_type, run_score, run)
end

-- By number, not by `<`: that would follow the server's locale.
local function rank(head)
    local id = head.list[head.next]
    if not id then return nil end
    local a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p = string.byte(id, 1, 16)
    head.score = tonumber(head.list[head.next + 1])
    head.high = ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
    head.middle = ((((g * 256 + h) * 256 + i) * 256 + j) * 256 + k) * 256 + l
    head.low = ((m * 256 + n) * 256 + o) * 256 + p
    return head
end

local function before(a, b)
    if a.score ~= b.score then return a.score < b.score end
    if a.high ~= b.high then return a.high < b.high end
    if a.middle ~= b.middle then return a.middle < b.middle end
    return a.low < b.low
end

local function merge(each)
    local heads, types, popped = {}, {}, {}
    for _, source in ipairs(each.heads) do
        local list = redis.call('ZRANGE', source[2], 0, each.take - 1, 'WITHSCORES')
        heads[#heads + 1] = rank({type = source[1], key = source[2], list = list, next = 1})
    end
    for n = 1, each.take do
        local best = 1
        for i = 2, #heads do
            if before(heads[i], heads[best]) then best = i end
        end
        local head = heads[best]
        types[n], popped[2 * n - 1], popped[2 * n] = head.type, head.list[head.next], head.list[head.next + 1]
        head.next = head.next + 2
        if not rank(head) then
            redis.call('ZREMRANGEBYRANK', head.key, 0, (head.next - 3) / 2)
            table.remove(heads, best)
        end
    end
    for _, head in ipairs(heads) do
        if head.next > 1 then redis.call('ZREMRANGEBYRANK', head.key, 0, (head.next - 3) / 2) end
    end
    emit_runs(each.queue, types, popped)
end

local function pop(each)
    if #each.heads == 1 then
        local head = each.heads[1]
        emit_runs(each.queue, {head[1]}, redis.call('ZPOPMIN', head[2], each.take))
    else
        merge(each)
    end
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
        if not each.hungry then redis.call('HSET', each.state, 'hungry', '1') end
    end
end
return answer
