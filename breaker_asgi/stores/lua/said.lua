-- Mark the change to a generation as announced, in a Cluster. Return the state.

local unsaid, state = unpack(redis.call('HMGET', KEYS[1], 'unsaid', 'state'))
if unsaid == ARGV[1] then
  redis.call('HSET', KEYS[1], 'point', ARGV[2])
  redis.call('HDEL', KEYS[1], 'unsaid')
end
return state or ''
