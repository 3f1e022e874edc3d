-- clock.lua - the server's time and identity, and the numbers made of them.

-- The server's clock, Unix time: microseconds, whole milliseconds.
local function clock()
  local time = redis.call('TIME')
  local us = time[1] * 1000000 + time[2]
  return us, math.floor(us / 1000)
end

-- A whole number as text; Lua's own way would write 1.7e+15.
local function whole(number)
  return string.format('%.0f', number)
end

-- Role and replication id of this server.
local function server()
  local info = redis.call('INFO', 'replication')
  return string.match(info, 'role:(%a+)'),
         string.match(info, 'master_replid:(%x+)')
end

-- The numbers of generations and epochs are text of two parts: milliseconds
-- (counted on from the number before where the clock is behind it: another
-- master's ran ahead), then six digits that depend on the replication id, which
-- every restart and promotion changes, and on the microsecond. Without these
-- the same number would be given out again by a server that lost its tail, by
-- two masters, or within one millisecond when the data is deleted.

-- The first part of a number; 0 for what is none.
local function counted_ms(number)
  return tonumber(string.match(number or '', '^(%d+)%d%d%d%d%d%d$')) or 0
end

-- The number behind those whose first part is `before`; nil: there is none
-- (2^64 is reached: the data is not ours).
local function next_number(us, before, replid)
  local count = math.max(math.floor(us / 1000), before + 1)
  if count > 18446744073708 then return nil end
  local salt = string.sub(redis.sha1hex(replid .. whole(us)), 1, 8)
  return whole(count) .. string.format('%06d', tonumber(salt, 16) % 1000000)
end
