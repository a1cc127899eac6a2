-- One page of ready ids into the keys of a build, which expire unless the swap comes.
--
-- ARGV[1]: {build, ttl, groups: [group...]}. Answers 1, or 0 if the build is not ours any more.
local ask = cmsgpack.unpack(ARGV[1])
if redis.call('GET', PREFIX .. 'building') ~= ask.build then return 0 end
redis.call('PEXPIRE', PREFIX .. 'building', ask.ttl)
build = ask.build
local lifetime = 20 * ask.ttl
for _, group in ipairs(ask.groups) do
    add(group[1], group[2], group[3], group[4])
    redis.call('SADD', key('queues'), group[1])
    redis.call('PEXPIRE', key('q', group[1], group[2]), lifetime)
    redis.call('PEXPIRE', key('t', group[1]), lifetime)
end
redis.call('PEXPIRE', key('queues'), lifetime)
return 1
