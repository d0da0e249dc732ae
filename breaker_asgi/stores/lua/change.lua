-- Make a change. In a Cluster the lists of changes are on another node: KEYS ends before them, and
-- announced.lua follows. Until then the field "unsaid" marks the record for all workers: the one that
-- made the change may have died.
local function make()
  local fresh = {last = now, ahead = record.ahead, changed = now - change.age}
  for _, field in ipairs(change.fields) do
    fresh[field[1]] = field[2]
  end
  if fresh.command then
    fresh.command_at = now - change.command_age
  end
  local outage = outage_after(fresh, change.outage and outage_at(change.outage))
  if outage then
    fresh.outage, fresh.course = outage.cause, course_of(outage, same)
  end
  if KEYS[CHANGES] then
    fresh.point = announce(KEYS[CHANGES], KEYS[AWAY], channel, name, fresh.state)
    if fresh.state == 'closed' then
      redis.call('ZREM', KEYS[AWAY], name)
    end
  else
    fresh.unsaid = fresh.generation
  end
  redis.call('DEL', unpack(KEYS, RECORD, LEASES))
  local fields = {'version', '1'}
  for field, value in pairs(fresh) do
    fields[#fields + 1] = field
    fields[#fields + 1] = type(value) == 'number' and text(value) or value
  end
  redis.call('HSET', KEYS[RECORD], unpack(fields))
  dirty = {}
  read_sizes()
  read_fields()
end
