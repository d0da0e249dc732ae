-- Keep a worker's figures. Expired ones are dropped with each new worker, so that there are never
-- many.

local key, worker, milliseconds, figures = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now = clock()
local until_then = now + milliseconds
local value = string.format('%.0f %.0f ', now, until_then) .. figures
if redis.call('HSET', key, worker, value) == 1 then
  holding(key, now)
end
redis.call('PEXPIRE', key, string.format('%.0f', math.max(DAY, milliseconds)))
