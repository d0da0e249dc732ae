-- The leases of probes.

-- Take a lease back. Return false if it has ended before.
local function settle(ended)
  local till = redis.call('ZSCORE', KEYS[LEASES], ended.lease)
  if ended.generation ~= record.generation or not till or tonumber(till) <= now then
    return false
  end
  redis.call('ZREM', KEYS[LEASES], ended.lease)
  if ended.counts then
    set('settled_calls', record.settled_calls + ended.counts[1])
    set('settled_failures', record.settled_failures + ended.counts[2])
    set('settled_slow_calls', record.settled_slow_calls + ended.counts[3])
  end
  return true
end

-- Lend a probe, if there is one left. The lease has a new, unique name.
local function lend(claim)
  if record.state ~= 'half_open' then
    return nil
  end
  redis.call('ZREMRANGEBYSCORE', KEYS[LEASES], '-inf', text(now))
  if redis.call('ZCARD', KEYS[LEASES]) + record.settled_calls >= claim.most then
    return nil
  end
  set('lent', record.lent + 1)
  local lease = worker .. ':' .. text(record.lent)
  redis.call('ZADD', KEYS[LEASES], text(now + claim.milliseconds), lease)
  sizes[LEASES] = sizes[LEASES] + 1
  return lease
end
