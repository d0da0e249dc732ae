-- The figures of the workers are one hash: a worker's field has the times of publication and expiry,
-- in milliseconds, and then the figures. Figures from the future were written before the clock was
-- set back.

local function holding(key, now)
  local fields, found = redis.call('HGETALL', key), {}
  for place = 1, #fields, 2 do
    local since, till, figures = string.match(fields[place + 1], '^(%d+) (%d+) (.*)$')
    if tonumber(since) <= now and now < tonumber(till) then
      found[#found + 1] = fields[place]
      found[#found + 1] = figures
    else
      redis.call('HDEL', key, fields[place])
    end
  end
  return found
end
