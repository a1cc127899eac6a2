-- Tells the worker that last found too little in a queue of a job that is just being written, if it runs such
-- jobs. From then on the queue's next news wake nobody: all who listen look by themselves (wakes.py).
--
-- ARGV[1]: {queue, type, priority, job}. Answers whether there was such a worker. Not for queues with a limit:
-- what may start there is known when the log has it.
local job = cmsgpack.unpack(ARGV[1])
build = redis.call('HGET', AT, 'build')
if not build then return 0 end
local state = key('s', job.queue)
local s = redis.call('HMGET', state, 'hungry', 'paused', 'max', 'waiter')
if s[1] ~= '1' or s[2] == '1' or (s[3] and s[3] ~= '') or not s[4] or s[4] == '' then return 0 end
local waiter = cmsgpack.unpack(s[4])
for _, type in ipairs(waiter[2]) do
    if type == job.type then
        redis.call('HSET', state, 'hungry', '0')
        local fields = struct.pack('>i4i4i4i4', waiter[1], job.queue, job.type, job.priority)
        redis.call('PUBLISH', PREFIX .. 'wake', '!' .. fields .. job.job)
        return 1
    end
end
return 0
