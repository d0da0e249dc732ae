-- Return the names of breakers that have changed since a point. From the beginning, or from a point
-- that this server does not have, return all that are not closed.

local changes, away, since = KEYS[1], KEYS[2], tonumber(ARGV[1])
local top = redis.call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')[2] or '0'
redis.call('PEXPIRE', changes, 30 * DAY)
redis.call('PEXPIRE', away, 30 * DAY)
if since > 0 and since <= tonumber(top) then
  return {top, redis.call('ZRANGEBYSCORE', changes, '(' .. ARGV[1], '+inf')}
end
return {top, redis.call('ZRANGE', away, 0, -1)}
