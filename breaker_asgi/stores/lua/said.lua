-- Mark the change to a generation as announced, in a Cluster.

local key = KEYS[1]
local record, now, unsaid = load(key)
if unsaid == ARGV[1] then
  redis.call('HDEL', key, 'unsaid')
end
return answer(record, now)
