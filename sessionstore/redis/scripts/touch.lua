#!lua flags=allow-oom
-- touch: our counts of many sessions, and their expiry. session_scripts.h
-- include: clock.lua
-- include: current.lua
-- include: alive.lua
-- include: session.lua
local boot, connection, lease, ttl = unpack(ARGV, 1, 4)

local n, reply = may_write(KEYS[1], KEYS[2], boot, connection, lease)
if not n then return reply end
local answer = {'ok'}
for i = 3, #KEYS do
  local v, count = ARGV[2 * i - 1], ARGV[2 * i]
  local stored = redis.pcall('HMGET', KEYS[i], 'v', 'c:' .. boot)
  if stored.err or not stored[1] or (v ~= '' and stored[1] ~= v) then
    answer[#answer + 1] = i - 2
  elseif (stored[2] or '0') ~= count then
    set_count(KEYS[i], boot, count, ttl)
  else
    redis.call('PEXPIRE', KEYS[i], ttl)
  end
end
return answer
