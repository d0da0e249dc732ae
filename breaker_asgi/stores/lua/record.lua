-- The record of one breaker in Redis, and the arithmetic on it: the twin of record.py, put before each
-- of the other scripts. A breaker is one hash, so that a Cluster keeps it in one place. Its field
-- "record" is the record as JSON; a field for each worker stands beside it, because there may be a
-- thousand of them, and a report concerns one. Numbers are written with 14 digits: moments are whole
-- milliseconds.

local DAY = 86400000
local ROLL = 1000
local WITNESSED = 60000
local LONGEST = 36500 * DAY

local function field_of(worker)
  return 'w:' .. worker
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fresh(generation)
  return {
    last = 0, ahead = 0, generation = generation, state = 'closed', reason = 'new',
    by_hand = false, who = cjson.null, worker = cjson.null, changed = 0, lasts = cjson.null, openings = 0, keep = 0, seconds = {}, streak = 0, failing = {},
    lent = 0, leases = {}, settled = {0, 0, 0},
  }
end

-- A closed breaker that was not used for a day may expire. One that an operator has forced open must
-- not: it may be a month until the next call.
local function touch(key, record)
  local days = record.state == 'closed' and 1 or 30
  local lasts = record.lasts == cjson.null and 0 or record.lasts
  redis.call('PEXPIRE', key, string.format('%.0f', days * DAY + math.min(lasts * 1000, LONGEST)))
end

local function save(key, record)
  redis.call('HSET', key, 'record', cjson.encode(record))
  touch(key, record)
end

-- Return the record, and its time, which stands still where the server's clock was set back, or another
-- server with another clock has taken over: no age is negative, and no lease is prolonged. Also
-- return the field "unsaid" and that of a worker, or false.
local function load(key, worker)
  local text, unsaid, known = unpack(redis.call('HMGET', key, 'record', 'unsaid', field_of(worker or '')))
  local record = text and cjson.decode(text) or fresh(0)
  local time = clock()
  if record.last - time > record.ahead then
    record.ahead = record.last - time
    save(key, record)
  end
  return record, time + record.ahead, unsaid, known
end

local function answer(record, now, more)
  return {now, cjson.encode(record), more or ''}
end

local function add_up(sums, calls, failures, slow_calls)
  return {sums[1] + calls, sums[2] + failures, sums[3] + slow_calls}
end

local function forget_the_silent(key, now)
  local fields = redis.call('HGETALL', key)
  for place = 1, #fields, 2 do
    local seen = string.match(fields[place + 1], '^%d+ (%d+)$')
    if string.sub(fields[place], 1, 2) == 'w:' and tonumber(seen) < now - DAY then
      redis.call('HDEL', key, fields[place])
    end
  end
end

local function remember(key, worker, number, known, now)
  if not known and redis.call('HLEN', key) > ROLL then
    forget_the_silent(key, now)
  end
  redis.call('HSET', key, field_of(worker), string.format('%.0f %.0f', number, now))
end

-- Record that a worker saw a failure or a slow call at that moment.
local function bear_witness(record, worker, at)
  record.failing[worker] = math.max(at, record.failing[worker] or 0)
end

local function forget_old_witnesses(record, now)
  local oldest = now - math.max(WITNESSED, record.keep * 1000)
  for each, at in pairs(record.failing) do
    if at <= oldest then
      record.failing[each] = nil
    end
  end
end
