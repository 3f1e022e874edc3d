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

-- The number of a generation or an epoch, larger than the one `before`. The
-- clock may be behind that (another master's ran ahead), and then "one more"
-- would be given out again by a server that lost its tail, or by two masters.
-- So 20 bits of the replication id, which every restart and promotion changes,
-- are added. nil: beyond what Lua counts exactly; the data is not ours.
local function next_number(us, before, replid)
  local salt = tonumber(string.sub(replid, 1, 5), 16)
  local number = math.max(us, before + 1) + salt
  if number < 9007199254740992 then return number end
end
