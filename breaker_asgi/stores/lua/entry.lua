-- The entry of a breaker. ARGV has one part of it after the other, lists with their lengths first.

local place = 0
local function argument()
  place = place + 1
  return ARGV[place]
end
local function number()
  return tonumber(argument())
end
local function list(read)
  local values = {}
  for each = 1, number() do
    values[each] = read()
  end
  return values
end
local function counts()
  return {number(), number(), number()}
end
local function outage()
  return {
    cause = argument(), age = number(), ended = number(), probed = number(), failed = number(),
    rejected = number(),
  }
end

local worker, batch, generation, window = argument(), number(), number(), number()
local look, channel, name = argument(), argument(), argument()
local settled = list(function()
  return {lease = argument(), generation = number(), counts = argument() == '1' and counts()}
end)
local report = list(function()
  local streak, unbroken, tripped = number(), argument() == '1', argument() == '1'
  local rejected = number()
  local seconds = list(function() return {age = number(), counts = counts()} end)
  return {
    streak = streak, unbroken = unbroken, tripped = tripped, rejected = rejected, seconds = seconds,
  }
end)[1]
local change = list(function()
  local age, command_age = number(), number()
  local given = list(outage)[1]
  local fields = list(function() return {argument(), argument()} end)
  return {age = age, command_age = command_age, outage = given, fields = fields}
end)[1]
local claims = list(function()
  return {most = number(), milliseconds = number()}
end)
