-- The outage in the record: the twin of outages.py. Its cause is a text that is handed on; its course
-- has the moments of its beginning, end and last probe, and the numbers of failed probes and of
-- rejected calls.

local LATE = 60000
local IS_AWAY = {open = true, half_open = true, forced_open = true}

local function course_of(outage, moment)
  local function optional(at)
    return at and text(moment(at)) or '-'
  end
  return string.format('%s %s %s %.0f %.0f', text(moment(outage.began)), optional(outage.ended),
    optional(outage.probed), outage.failed, outage.rejected)
end

local function same(at)
  return at
end

-- Return the outage of the record; nil if there is none, or it is damaged.
local function outage_of()
  local began, ended, probed, failed, rejected =
    string.match(record.course or '', '^(%-?%d+) (%S+) (%S+) (%d+) (%d+)$')
  if record.outage and began then
    return {
      cause = record.outage, began = tonumber(began), ended = tonumber(ended),
      probed = tonumber(probed), failed = tonumber(failed), rejected = tonumber(rejected),
    }
  end
end

local function ages_of(outage)
  return course_of(outage, function(at) return math.max(0, now - at) end)
end

-- Return the outage that a change brings along, with ages in the place of moments; -1 for none.
local function outage_at(given)
  local function moment(age)
    return age >= 0 and now - age or nil
  end
  return {
    cause = given.cause, began = now - given.age, ended = moment(given.ended),
    probed = moment(given.probed), failed = given.failed, rejected = given.rejected,
  }
end

-- Return it after a change to `fresh`; nil if it does not go on. A breaker that is closing is closed
-- here, with a row of openings that goes on.
local function outage_changed(kept, fresh)
  local at = math.max(kept.began, fresh.changed)
  if not IS_AWAY[fresh.state] then
    kept.ended = kept.ended or at
    return kept
  end
  local openings, is_open = tonumber(fresh.openings), fresh.state == 'open'
  local is_row = record.openings > 0 and openings > (is_open and 1 or 0)
  local relapses = (record.state or 'closed') == 'closed' and is_row and fresh.state ~= 'half_open'
  if kept.ended and not relapses then
    return nil
  end
  local is_counted = is_open and fresh.by_hand == '0'
  local failed = is_counted and math.max(0, openings - record.openings) or 0
  kept.ended, kept.failed = nil, kept.failed + failed
  if failed > 0 or fresh.state == 'half_open' then
    kept.probed = at
  end
  return kept
end

-- Return the outage of the record after a change to `fresh`. `given` is the one that it brings along.
local function outage_after(fresh, given)
  local kept = outage_of()
  local goes_on = kept and outage_changed(kept, fresh)
  if goes_on or not given then
    return goes_on or kept
  end
  if IS_AWAY[fresh.state] then
    given.ended = nil
    return given
  end
  return outage_changed(given, fresh)
end

-- Add rejected calls to the outage, unless it ended long ago.
local function reject(calls)
  local outage = calls > 0 and outage_of()
  if outage and not (outage.ended and now - outage.ended >= LATE) then
    outage.rejected = outage.rejected + calls
    set('course', course_of(outage, same))
  end
end
