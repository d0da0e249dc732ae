-- Take a lease back, if it is still out. Without counts it is refunded.

local key = KEYS[1]
local generation, lease = tonumber(ARGV[1]), ARGV[2]
local record, now = load(key)
if generation ~= record.generation or (record.leases[lease] or 0) <= now then
  return answer(record, now)
end

record.leases[lease] = nil
if ARGV[3] then
  record.settled = add_up(record.settled, ARGV[3], ARGV[4], ARGV[5])
end
record.last = now
save(key, record)
return answer(record, now)
