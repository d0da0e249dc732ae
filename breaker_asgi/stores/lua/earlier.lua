-- The record that workers of version 0 keep.

local function is_due(old)
  if not sizes[RECORD] then
    return old.generation > 0
  end
  local at = (tonumber(old.changed) or 0) - (tonumber(old.ahead) or 0) + record.ahead
  local is_taken_over = record.command == 'generation ' .. text(old.generation)
  return old.by_hand == true and at > record.changed and at > record.command_at and not is_taken_over
end

-- Return it if it has to be taken over: there is no other one yet, or an operator has made the later
-- change there. As the second value return true if it stands beside ours.
local function earlier()
  local looks = look == 'always' or look == 'if new' and not sizes[RECORD]
  local kept = looks and redis.call('HGET', KEYS[EARLIER], 'record')
  if not kept then
    return nil, false
  end
  local is_read, old = pcall(cjson.decode, kept)
  if not is_read or type(old) ~= 'table' or type(old.generation) ~= 'number' then
    return not sizes[RECORD] and kept or nil, false
  end
  return is_due(old) and kept or nil, sizes[RECORD] ~= nil
end

-- Let it expire before our record does, or it would be taken over once more. Old workers prolong it.
local function outlive_it()
  if redis.call('PTTL', KEYS[EARLIER]) > DAY / 2 then
    redis.call('PEXPIRE', KEYS[EARLIER], text(DAY / 2))
  end
  touch()
end
