-- Add up what a worker has seen, if it reports anything, and give what is known.

local key = KEYS[1]
local record, now = load(key)
if #ARGV == 0 then
  touch(key, record)
  return answer(record, now)
end

local worker, number, generation = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local calls, failures, slow_calls = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local streak, unbroken, keep = tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[9])

local known = redis.call('HGET', key, field_of(worker))
if generation ~= record.generation
  or known and number <= tonumber(string.match(known, '^%d+')) then
  return answer(record, now)
end
remember(key, worker, number, known, now)
record.keep = keep
bear_witness(record, worker, failures + slow_calls, now)

local second = math.floor(now / 1000)
for each in pairs(record.seconds) do
  if tonumber(each) <= second - keep then
    record.seconds[each] = nil
  end
end
if keep > 0 and calls > 0 then
  local name = string.format('%.0f', second)
  record.seconds[name] = add_up(record.seconds[name] or {0, 0, 0}, calls, failures, slow_calls)
end
record.streak = unbroken and record.streak + failures or streak
record.last = now
save(key, record)
return answer(record, now)
