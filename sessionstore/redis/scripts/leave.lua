#!lua flags=allow-oom
-- leave: our count; the last one out destroys the session. session_scripts.h
-- include: clock.lua
-- include: current.lua
-- include: alive.lua
-- include: keep.lua
-- include: epoch.lua
-- include: session.lua
-- include: destroy.lua
local s, gen, nodes, m, l = unpack(KEYS)
local boot, connection, lease, ttl, v, count = unpack(ARGV, 1, 6)

local n, alive = may_write(gen, nodes, boot, connection, lease)
if not n then return alive end
local fields, reply = read(s)
if not fields then return reply end
if not fields.v or (v ~= '' and fields.v ~= v) then return {'missing'} end
if others(s, fields, boot, alive) + count > 0 then
  set_count(s, boot, count, ttl)
  return {'ok', fields.v}
end
return destroy(s, fields, fields.v, m, l, n, {unpack(ARGV, 7, 13)}, 'last')
