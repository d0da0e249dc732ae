-- Return the latest point, the number of workers that have used the store of late, and the names of
-- breakers that have changed since a point, each with its own. From the beginning, or from a point that
-- this server does not have, return all that are not closed, and those of version 0 with the point 0.

local ALIVE = 30000

local changes, away, alive, earlier = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local since, worker, now = tonumber(ARGV[1]), ARGV[2], clock()
redis.call('ZADD', alive, text(now), worker)
redis.call('ZREMRANGEBYSCORE', alive, '-inf', text(now - ALIVE))
redis.call('ZREMRANGEBYSCORE', alive, '(' .. text(now), '+inf') -- the clock was set back
redis.call('PEXPIRE', alive, ALIVE)
redis.call('PEXPIRE', changes, text(30 * DAY))
redis.call('PEXPIRE', away, text(30 * DAY))

local top = redis.call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')[2] or '0'
local workers = redis.call('ZCARD', alive)
if since > 0 and since <= tonumber(top) then
  return {top, workers, redis.call('ZRANGEBYSCORE', changes, '(' .. ARGV[1], '+inf', 'WITHSCORES')}
end
local named = redis.call('ZRANGE', away, 0, -1, 'WITHSCORES')
for _, name in ipairs(redis.call('ZRANGE', earlier, 0, -1)) do
  named[#named + 1] = name
  named[#named + 1] = '0'
end
return {top, workers, named}
