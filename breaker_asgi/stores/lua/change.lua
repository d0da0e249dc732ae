-- Make a change, if the record's generation is the expected one. In a Cluster the lists of changes
-- are on another node: KEYS holds the breaker alone, and announced.lua follows. Until then the field
-- "unsaid" marks the record for all workers: the one that made the change may have died.

local key = KEYS[1]
local record, now, unsaid = load(key)
if tonumber(ARGV[1]) ~= record.generation then
  return answer(record, now, unsaid)
end

local change = cjson.decode(ARGV[2])
local ahead = record.ahead
record = fresh(record.generation + 1)
record.last, record.changed, record.ahead = now, now - ARGV[3], ahead
record.state, record.reason, record.worker = change.state, change.reason, change.worker
record.by_hand, record.who = change.by_hand, change.who
record.lasts, record.openings = change.lasts, change.openings
redis.call('DEL', key)
save(key, record)
if KEYS[2] then
  announce(KEYS[2], KEYS[3], ARGV[4], ARGV[5], record.state)
  if record.state == 'closed' then
    redis.call('ZREM', KEYS[3], ARGV[5])
  end
  return answer(record, now)
end
redis.call('HSET', key, 'unsaid', string.format('%.0f', record.generation))
return answer(record, now, 'unsaid')
