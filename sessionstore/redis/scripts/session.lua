-- session.lua - what the scripts of sessions share. Needs clock.lua, alive.lua.

-- living(), unless the nodes' key is of another type: then nil and an error.
local function living_or_error(nodes, lease)
  local kind = redis.pcall('ZCARD', nodes)
  if type(kind) == 'table' then return nil, kind end
  return living(nodes, lease)
end

-- May this node write? The generation, and living(); else nil and the reply:
-- this is a late command, or the node's lease ran out (R13).
local function may_write(gen, nodes, boot, connection, lease)
  local n, reply = current(gen, boot, connection)
  if not n then return nil, reply end
  local alive
  alive, reply = living_or_error(nodes, lease)
  if not alive then return nil, reply end
  if not alive(boot) then return nil, {'fenced'} end
  return n, alive
end

-- The session's fields by name; empty: it is not there. Or nil and an error.
local function read(s)
  local flat = redis.pcall('HGETALL', s)
  if flat.err then return nil, flat end
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- Take away what was there before, but what is `kept`. The key is not deleted
-- and made again: where a slot is being moved, what is missing is elsewhere.
local function drop_fields(s, fields, kept)
  for field in pairs(fields) do
    if not kept[field] then redis.call('HDEL', s, field) end
  end
end

-- Connections on other nodes that are alive; fields of the dead are dropped.
local function others(s, fields, boot, alive)
  local sum = 0
  for field, count in pairs(fields) do
    local other = string.match(field, '^c:(.*)$')
    if other and other ~= boot then
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
