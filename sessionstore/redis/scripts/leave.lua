#!lua flags=allow-oom
-- leave: our count; the last one out destroys the session. session_scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: keep.lua
-- include: epoch.lua
-- include: session.lua
-- include: destroy.lua
local s, gen, nodes, m, l = unpack(KEYS)
local boot, connection, lease, ttl, v, count = unpack(ARGV, 1, 6)

local reply = refusal(gen, nodes, boot, connection, lease)
if reply then return reply end
local fields
fields, reply = read(s)
if not fields then return reply end
if not fields.v or (v ~= '' and fields.v ~= v) then return {'missing'} end
if others(s, fields, boot, nodes, lease) + count > 0 then
  set_count(s, boot, count, ttl)
  return {'ok', fields.v}
end
return destroy(s, fields.v, m, l, gen, {unpack(ARGV, 7, 12)}, 'last')
