-- Remove breakers from the list that were closed after a point, unless they have changed since.

local away, point = KEYS[1], tonumber(ARGV[1])
for place = 2, #ARGV do
  local changed = redis.call('ZSCORE', away, ARGV[place])
  if changed and tonumber(changed) <= point then
    redis.call('ZREM', away, ARGV[place])
  end
end
