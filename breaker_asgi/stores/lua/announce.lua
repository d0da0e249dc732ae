-- Record that a breaker has changed, and notify all listeners. A point is a moment, in
-- microseconds, so that points go on rising after a server has lost its data.

local MOST = 100000

local function announce(changes, away, channel, name, state)
  local top = redis.call('ZREVRANGE', changes, 0, 0, 'WITHSCORES')[2] or 0
  local time = redis.call('TIME')
  local point = text(math.max(top + 1, time[1] * 1000000 + time[2]))
  redis.call('ZADD', changes, point, name)
  redis.call('ZREMRANGEBYRANK', changes, 0, -MOST - 1)
  if state ~= 'closed' then
    redis.call('ZADD', away, point, name)
    redis.call('ZREMRANGEBYRANK', away, 0, -MOST - 1)
  end
  redis.call('PEXPIRE', changes, text(30 * DAY))
  redis.call('PEXPIRE', away, text(30 * DAY))
  redis.call('PUBLISH', channel, point)
  return point
end
