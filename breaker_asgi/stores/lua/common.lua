-- Put before each of the other scripts. Moments are whole milliseconds of the server's clock. Lua
-- itself writes numbers with 14 digits.

local DAY = 86400000

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function text(number)
  return string.format('%.0f', number)
end
