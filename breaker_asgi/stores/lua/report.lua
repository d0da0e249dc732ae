-- A report of calls. All is read before something is written, because a record that can't be read must
-- not be written to.

-- Return what is to be written for a report, and nothing if it counts for nothing. As the second value
-- return false if the record can't be read.
local function prepare()
  local known = redis.call('HGET', KEYS[WORKERS], worker)
  local last_number = known and tonumber(string.match(known, '^(%d+) %d+$'))
  if known and not last_number then
    return nil, false
  elseif known and batch <= last_number then
    return nil, true
  elseif generation ~= record.generation then -- its rejected calls still belong to the outage
    return report.rejected > 0 and outage_of() and {is_known = known, is_late = true} or nil, true
  end
  if window >= record.keep or now - record.kept >= record.keep * 1000 then
    set('keep', window)
    set('kept', now)
  end
  local plan = {is_known = known, failed = report.tripped and now, failures = 0, added = {}}
  local second = math.floor(now / 1000)
  for _, each in ipairs(report.seconds) do
    local calls, failures, slow_calls = unpack(each.counts)
    plan.failures = plan.failures + failures
    if failures + slow_calls > 0 then
      plan.failed = math.max(plan.failed or 0, now - each.age * 1000)
    end
    if calls + failures + slow_calls > 0 and each.age < record.keep then
      local at = second - each.age
      plan.added[at] = plus(plan.added[at] or {0, 0, 0}, each.counts)
      plan.earliest = math.min(at, plan.earliest or at)
    end
  end
  if plan.earliest then
    plan.members, plan.totals = merge(plan.added, plan.earliest)
    return plan, plan.members ~= nil
  end
  return plan, true
end

-- Forget workers that were silent for a day, but not with each new one of a thousand.
local function remember(is_known)
  if not is_known and sizes[WORKERS] >= ROLL and sizes[WORKERS] % 100 == 0 then
    local fields = redis.call('HGETALL', KEYS[WORKERS])
    for at = 1, #fields, 2 do
      local reported = tonumber(string.match(fields[at + 1], ' (%d+)$') or 0)
      if reported < now - DAY then
        redis.call('HDEL', KEYS[WORKERS], fields[at])
      end
    end
  end
  redis.call('HSET', KEYS[WORKERS], worker, string.format('%.0f %.0f', batch, now))
  sizes[WORKERS] = sizes[WORKERS] + 1
end

local PORTION = 4000 -- values that Lua can pass at once

local function write_seconds(plan)
  if sizes[SECONDS] > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[SECONDS], '-inf', text(math.floor(now / 1000) - record.keep))
  end
  local members = plan.members or {}
  if #members > 0 and sizes[SECONDS] > 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[SECONDS], members[1], '+inf')
  end
  for first = 1, #members, PORTION do
    redis.call('ZADD', KEYS[SECONDS], unpack(members, first, math.min(first + PORTION - 1, #members)))
    sizes[SECONDS] = sizes[SECONDS] + 1
  end
  if plan.totals then
    set('calls', plan.totals[1])
    set('failures', plan.totals[2])
    set('slow_calls', plan.totals[3])
  end
end

local function bear_witness(key, at)
  local before = sizes[key] > 0 and at < now and redis.call('ZSCORE', KEYS[key], worker)
  if not before or tonumber(before) < at then
    redis.call('ZADD', KEYS[key], text(at), worker)
    sizes[key] = sizes[key] + 1
  end
end

local function oldest_witness()
  return text(now - math.max(WITNESSED, record.keep * 1000))
end

local function add(plan)
  remember(plan.is_known)
  reject(report.rejected)
  if plan.is_late then
    return
  end
  write_seconds(plan)
  if plan.failed then
    bear_witness(FAILING, plan.failed)
  end
  if report.tripped then
    bear_witness(TRIPPED, now)
  elseif sizes[TRIPPED] > 0 then
    redis.call('ZREM', KEYS[TRIPPED], worker)
  end
  for key = FAILING, TRIPPED do
    if sizes[key] > 0 then
      redis.call('ZREMRANGEBYSCORE', KEYS[key], '-inf', oldest_witness())
    end
  end
  if #report.seconds > 0 then
    set('streak', report.unbroken and record.streak + plan.failures or report.streak)
  end
end
