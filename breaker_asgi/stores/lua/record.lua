-- The record of one breaker in Redis: the twin of record.py. Its keys have one hash tag, so that a
-- Cluster keeps them on one node. A report costs the same with any number of workers, and with any
-- number of seconds.

local WITNESSED = 60000
local ROLL = 1000
local LONGEST = 36500 * DAY
local EXACT = 9007199254740992
local STATES = {
  closed = 'a day', open = 'a month', half_open = 'a month',
  forced_open = 'always', disabled = 'always', metrics_only = 'always',
}

local RECORD = 1 -- a hash of the fields below
local SECONDS = 2 -- a sorted set: a member is a second, and the calls of the generation before it
local FAILING = 3 -- a sorted set: workers by the time of their last failure
local TRIPPED = 4 -- the same for those in which the breaker is open for themselves only
local LEASES = 5 -- a sorted set: leases by their ends
local WORKERS = 6 -- a hash: number and time of each worker's last report; a change leaves it
local EARLIER = 7 -- a hash: the record as workers of version 0 keep it
local CHANGES, AWAY = 8, 9 -- the lists of changes; in a Cluster they are on another node

local TEXTS = 13
local FIELDS = {
  'version', 'id', 'state', 'reason', 'by_hand', 'who', 'worker', 'lasts', 'command', 'unsaid', 'point',
  'outage', 'course',
  'generation', 'last', 'ahead', 'changed', 'openings', 'command_at', 'keep', 'kept', 'streak', 'lent',
  'calls', 'failures', 'slow_calls', 'settled_calls', 'settled_failures', 'settled_slow_calls',
}

local record, now
local sizes = {} -- the number of members of each key, or a larger one
local dirty = {} -- fields to write, and their values

local function set(field, value)
  if record[field] ~= value then
    record[field] = value
    dirty[#dirty + 1] = field
    dirty[#dirty + 1] = type(value) == 'number' and text(value) or value
  end
end

local function unreadable()
  return {'unreadable', record.version or '', record.state or ''}
end

local function read_fields()
  local kept, is_whole = redis.call('HMGET', KEYS[RECORD], unpack(FIELDS)), true
  record = {}
  for place = 1, #FIELDS do
    local value = kept[place]
    sizes[RECORD] = value and 1 or sizes[RECORD]
    if place > TEXTS then
      value = tonumber(value or 0)
      is_whole = is_whole and value and value % 1 == 0 and math.abs(value) <= EXACT
    end
    record[FIELDS[place]] = value
  end
  return is_whole
end

local function read_sizes()
  for place = SECONDS, LEASES do
    sizes[place] = redis.call('ZCARD', KEYS[place])
  end
  sizes[WORKERS] = redis.call('HLEN', KEYS[WORKERS])
end

-- Read the record, and its time, which stands still where the server's clock was set back, or another
-- server with another clock has taken over: no age is negative, and no lease is prolonged. Return
-- false if it can't be read. All keys are read before one is written.
local function load()
  local is_whole = read_fields()
  read_sizes()
  if sizes[RECORD] and record.version ~= '1'
    or not STATES[record.state or 'closed']
    or record.lasts and not tonumber(record.lasts)
    or not is_whole then
    return false
  end
  now = clock()
  set('ahead', math.max(record.ahead, record.last - now))
  now = now + record.ahead
  return true
end

-- A closed breaker that was not used for a day may expire. One that an operator has forced open must
-- not: it may be a month until the next call.
local function touch()
  local days = STATES[record.state or 'closed'] == 'a day' and 1 or 30
  local lasts = math.min(tonumber(record.lasts or 0) * 1000, LONGEST)
  for place = RECORD, WORKERS do
    if sizes[place] and sizes[place] > 0 then
      redis.call('PEXPIRE', KEYS[place], text(days * DAY + lasts))
    end
  end
end

local function save()
  if #dirty > 0 then
    redis.call('HSET', KEYS[RECORD], 'version', '1', unpack(dirty))
    sizes[RECORD] = 1
  end
end
