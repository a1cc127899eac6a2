-- What Redis gives to scripts, for a plain Lua 5.1: cmsgpack and struct, as far as our scripts use them.
local byte, char, sub, floor = string.byte, string.char, string.sub, math.floor

local function number(data, at, bytes)
    local value = 0
    for i = at, at + bytes - 1 do value = value * 256 + byte(data, i) end
    return value, at + bytes
end

local function signed(data, at, bytes)
    local value, after = number(data, at, bytes)
    local top = 2 ^ (8 * bytes)
    if value >= top / 2 then value = value - top end
    return value, after
end

local read

local function list(data, at, count)
    local found = {}
    for i = 1, count do found[i], at = read(data, at) end
    return found, at
end

local function map(data, at, count)
    local found = {}
    for _ = 1, count do
        local name
        name, at = read(data, at)
        found[name], at = read(data, at)
    end
    return found, at
end

local function text(data, at, size) return sub(data, at, at + size - 1), at + size end

local sized = {
    [0xc4] = {1, text}, [0xc5] = {2, text}, [0xc6] = {4, text}, [0xd9] = {1, text}, [0xda] = {2, text},
    [0xdb] = {4, text}, [0xdc] = {2, list}, [0xdd] = {4, list}, [0xde] = {2, map}, [0xdf] = {4, map},
}

function read(data, at)
    local tag = byte(data, at)
    at = at + 1
    if tag < 0x80 then return tag, at end
    if tag >= 0xe0 then return tag - 256, at end
    if tag < 0x90 then return map(data, at, tag - 0x80) end
    if tag < 0xa0 then return list(data, at, tag - 0x90) end
    if tag < 0xc0 then return text(data, at, tag - 0xa0) end
    if tag == 0xc0 then return nil, at end
    if tag == 0xc2 or tag == 0xc3 then return tag == 0xc3, at end
    if tag >= 0xcc and tag <= 0xcf then return number(data, at, 2 ^ (tag - 0xcc)) end
    if tag >= 0xd0 and tag <= 0xd3 then return signed(data, at, 2 ^ (tag - 0xd0)) end
    local kind = sized[tag] or error('msgpack tag ' .. tag)
    local count
    count, at = number(data, at, kind[1])
    return kind[2](data, at, count)
end

local function big(value, bytes)
    local out = {}
    for i = bytes, 1, -1 do
        out[i] = char(value % 256)
        value = floor(value / 256)
    end
    return table.concat(out)
end

local function write(value)
    if type(value) == 'string' then return '\219' .. big(#value, 4) .. value end
    if type(value) == 'number' then
        return value < 0 and '\210' .. big(value + 2 ^ 32, 4) or '\211' .. big(value, 8)
    end
    local out = {'\221' .. big(#value, 4)}
    for i, each in ipairs(value) do out[i + 1] = write(each) end
    return table.concat(out)
end

cmsgpack = {unpack = function(data) return (read(data, 1)) end, pack = write}
struct = {
    pack = function(format, ...)
        assert(format == '>i4i4i4i4')
        local out = {...}
        for i, value in ipairs(out) do out[i] = big(value < 0 and value + 2 ^ 32 or value, 4) end
        return table.concat(out)
    end,
    unpack = function(format, data)
        assert(format == '>I6I6I4')
        return number(data, 1, 6), number(data, 7, 6), (number(data, 13, 4))
    end
}
-- Numbers arrive at a command as text, and an absent value is false in a script.
function redis_of(command)
    return {
        call = function(...)
            local words = {...}
            for i, word in ipairs(words) do
                if type(word) == 'number' then words[i] = string.format('%.17g', word) end
            end
            local reply = command(unpack(words))
            if reply == nil then return false end
            return reply
        end
    }
end
