-- Add up the counts of a worker, if it reports any, and return the record. After the sixth argument
-- come the seconds: age, calls, failures and slow calls of each.

local BY_HAND = {forced_open = true, disabled = true, metrics_only = true}

local key = KEYS[1]
local record, now, unsaid, known = load(key, ARGV[1])
if #ARGV == 0 then
  -- Processes fetch all breakers that are not closed, also those that they will never use.
  if BY_HAND[record.state] and record.lasts == cjson.null then
    touch(key, record)
  end
  return answer(record, now, unsaid)
end

local worker, number, generation = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local streak, unbroken, keep = tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])

if generation ~= record.generation
  or known and number <= tonumber(string.match(known, '^%d+')) then
  return answer(record, now, unsaid)
end
remember(key, worker, number, known, now)
if keep >= record.keep or now - (record.kept or 0) >= record.keep * 1000 then
  record.keep, record.kept = keep, now
end
keep = record.keep

local second = math.floor(now / 1000)
for each in pairs(record.seconds) do
  if tonumber(each) <= second - keep then
    record.seconds[each] = nil
  end
end
local failed = 0
for place = 7, #ARGV, 4 do
  local age, calls = tonumber(ARGV[place]), tonumber(ARGV[place + 1])
  local failures, slow_calls = tonumber(ARGV[place + 2]), tonumber(ARGV[place + 3])
  failed = failed + failures
  if failures + slow_calls > 0 then
    bear_witness(record, worker, now - age * 1000)
  end
  if calls > 0 and age < keep then
    local name = string.format('%.0f', second - age)
    record.seconds[name] = add_up(record.seconds[name] or {0, 0, 0}, calls, failures, slow_calls)
  end
end
forget_old_witnesses(record, now)
record.streak = unbroken and record.streak + failed or streak
record.last = now
save(key, record)
return answer(record, now, unsaid)
