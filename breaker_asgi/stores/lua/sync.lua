-- Apply an entry: settle, report, change, claim. Return the record after it.

local function count(key, after)
  return sizes[key] > 0 and redis.call('ZCOUNT', KEYS[key], '(' .. after, '+inf') or 0
end

local function answer(sums, leases)
  local oldest, outage = oldest_witness(), outage_of()
  return {
    record.generation, record.id, record.state or 'closed', record.reason or 'new', record.by_hand,
    record.who, record.worker, now - record.changed, record.lasts, record.openings,
    record.command, math.max(0, now - record.command_at), sums[1], sums[2], sums[3], record.streak,
    count(FAILING, oldest), count(TRIPPED, oldest), count(LEASES, text(now)),
    record.settled_calls, record.settled_failures, record.settled_slow_calls,
    record.unsaid, record.point, outage and outage.cause or false, outage and ages_of(outage) or false,
    unpack(leases),
  }
end

if not load() then
  return unreadable()
end
local kept, stands_beside = earlier()
if kept then
  return {'earlier', record.generation, now - record.ahead, kept}
end
local plan, is_readable = nil, true
if report then
  plan, is_readable = prepare()
end
local sums = is_readable and within(window)
if not sums then
  return unreadable()
end

local is_touched, leases = false, {}
for _, ended in ipairs(settled) do
  is_touched = settle(ended) or is_touched
end
if plan then
  add(plan)
  is_touched = true
end
if change and generation == record.generation then
  make()
  is_touched = true
end
for _, claim in ipairs(claims) do
  leases[#leases + 1] = lend(claim)
end
if is_touched or #leases > 0 then
  set('last', now)
end
save()
-- Workers fetch all breakers that are not closed, also those that they will never use.
local is_permanent = STATES[record.state or 'closed'] == 'always' and not record.lasts
if stands_beside then
  outlive_it()
elseif is_touched or #leases > 0 or is_permanent then
  touch()
end
return answer((plan or change) and within(window) or sums, leases)
