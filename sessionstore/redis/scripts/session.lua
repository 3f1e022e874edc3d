-- session.lua - what the scripts of sessions share. Needs clock.lua, alive.lua.

-- The reply when this node may not write: its lease ran out (R13), or this is a
-- late command of a connection that it has given up since; nil: it may.
local function refusal(gen, nodes, boot, connection, lease)
  local newest = redis.pcall('HGET', gen, 'k:' .. boot)
  if type(newest) == 'table' then return newest end
  if newest == '-' then return {'fenced'} end
  if newest and tonumber(newest) > tonumber(connection) then
    return {'stale'}
  end
  local beat = redis.pcall('ZSCORE', nodes, boot)
  if type(beat) == 'table' then return beat end
  local _, now = clock()
  if not beat or beat + lease < now then return {'fenced'} end
end

-- The session's fields by name; empty: it is not there. Or nil and an error.
local function read(s)
  local flat = redis.pcall('HGETALL', s)
  if flat.err then return nil, flat end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- Connections on other nodes that are alive; fields of the dead are dropped.
local function others(s, fields, boot, nodes, lease)
  local sum, alive = 0, nil
  for field, count in pairs(fields) do
    local other = string.match(field, '^c:(.*)$')
    if other and other ~= boot then
      alive = alive or living(nodes, lease)
      if alive(other) then
        sum = sum + (tonumber(count) or 0)
      else
        redis.call('HDEL', s, field)
      end
    end
  end
  return sum
end

-- Absolute (R11): a repetition changes nothing.
local function set_count(s, boot, count, ttl)
  if tonumber(count) > 0 then
    redis.call('HSET', s, 'c:' .. boot, count)
  else
    redis.call('HDEL', s, 'c:' .. boot)
  end
  redis.call('PEXPIRE', s, ttl)
end
