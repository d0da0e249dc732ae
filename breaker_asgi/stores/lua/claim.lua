-- Lend a probe, if there is one left.

local key = KEYS[1]
local worker, generation, most, milliseconds = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local record, now = load(key)
local out, leases = 0, {}
for lease, expires in pairs(record.leases) do
  if expires > now then
    out, leases[lease] = out + 1, expires
  end
end
if generation ~= record.generation or out + record.settled[1] >= most then
  return answer(record, now)
end

record.lent = record.lent + 1
local lease = worker .. ':' .. string.format('%.0f', record.lent)
leases[lease] = now + milliseconds
record.leases, record.last = leases, now
save(key, record)
return answer(record, now, lease)
