-- Ends a claim past its deadline: what PostgreSQL still has as ready goes back, the rest is dropped.
--
-- ARGV[1]: {claim, epoch, head, force, ready: [group...]}, ready as of the log's `head`. Answers done; gone
-- (settled meanwhile); again (the checkpoint has passed `head`, so the answer may be old; `force` takes it
-- all the same: a wrong id is refused by the append, one kept for ever would not be).
local sweep = cmsgpack.unpack(ARGV[1])
local at = redis.call('HMGET', AT, 'epoch', 'position', 'build')
if not at[2] or not at[3] or tonumber(at[1]) ~= sweep.epoch then return 'gone' end
build = at[3]
if not redis.call('ZSCORE', key('claims'), sweep.claim) then return 'gone' end
if tonumber(at[2]) > sweep.head and not sweep.force then return 'again' end
local woken = {}
resolve(sweep.claim)
-- Another claim may hold some of these too (a catch-up from before this one had put them back): when it starts
-- them they are to be removed, as after a catch-up.
if #sweep.ready > 0 then redis.call('HSET', AT, 'jump', whole(tonumber(at[2]) + 1)) end
for _, group in ipairs(sweep.ready) do
    add(group[1], group[2], group[3], group[4])
    woken[group[1]] = 'ids'
end
wake(woken)
return 'done'
