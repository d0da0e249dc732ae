-- The calls of a record by seconds. Each second keeps the calls of the generation before it, so that a
-- window of any length is a difference of two numbers.

local function plus(one, other)
  return {one[1] + other[1], one[2] + other[2], one[3] + other[3]}
end

local function minus(one, other)
  return {one[1] - other[1], one[2] - other[2], one[3] - other[3]}
end

local function totals()
  return {record.calls, record.failures, record.slow_calls}
end

local function parse(member)
  local second, calls, failures, slow_calls = string.match(member, '^(%d+):(%d+),(%d+),(%d+)$')
  if second then
    return tonumber(second), {tonumber(calls), tonumber(failures), tonumber(slow_calls)}
  end
end

-- Return the calls of the last seconds; nil if they can't be read.
local function within(window)
  local after = '(' .. text(math.floor(now / 1000) - window)
  local first = sizes[SECONDS] > 0
    and redis.call('ZRANGEBYSCORE', KEYS[SECONDS], after, '+inf', 'LIMIT', 0, 1)[1]
  if not first then
    return {0, 0, 0}
  end
  local second, before = parse(first)
  return second and minus(totals(), before)
end

-- Return the members that have to be written if these calls are added, each after its second, and the
-- new totals; nil if the old ones can't be read. Calls of the current second add one member at most;
-- late ones change all that come after them.
local function merge(added, earliest)
  local counts, members, order, before = {}, {}, {}, totals()
  local kept = redis.call('ZRANGEBYSCORE', KEYS[SECONDS], text(earliest), '+inf')
  for place = #kept, 1, -1 do
    local second, start = parse(kept[place])
    if not second then
      return nil
    end
    counts[second], members[second] = minus(before, start), kept[place]
    order[#order + 1], before = second, start
  end
  for second, more in pairs(added) do
    if not counts[second] then
      order[#order + 1] = second
    end
    counts[second] = plus(counts[second] or {0, 0, 0}, more)
  end
  table.sort(order)
  local written = {}
  for _, second in ipairs(order) do
    local member = string.format('%.0f:%.0f,%.0f,%.0f', second, unpack(before))
    if member ~= members[second] then
      written[#written + 1] = text(second)
      written[#written + 1] = member
    end
    before = plus(before, counts[second])
  end
  return written, before
end
