-- Return the record of a worker of version 0, if it has to be taken over: there is no other one yet, or
-- an operator has made the later change there. Return nil otherwise.
local function earlier()
  local kept = (compares or not sizes[RECORD]) and redis.call('HGET', KEYS[EARLIER], 'record')
  if not kept then
    return nil
  end
  local is_read, old = pcall(cjson.decode, kept)
  if not is_read or type(old) ~= 'table' or type(old.generation) ~= 'number' then
    return not sizes[RECORD] and kept or nil
  end
  local changed, ahead = tonumber(old.changed) or 0, tonumber(old.ahead) or 0
  local at = changed - ahead + record.ahead
  local is_taken_over = record.command == 'generation ' .. text(old.generation)
  local is_later = at > record.changed and at > record.command_at and not is_taken_over
  local is_due = not sizes[RECORD] and old.generation > 0 or old.by_hand == true and is_later
  return is_due and kept or nil
end
