#!lua flags=allow-oom
-- kill: destroy a session. session_scripts.h
-- include: clock.lua
-- include: current.lua
-- include: alive.lua
-- include: keep.lua
-- include: epoch.lua
-- include: session.lua
-- include: destroy.lua
local s, gen, nodes, m, l = unpack(KEYS)
local boot, connection, lease, v, how = unpack(ARGV, 1, 5)

local n, alive = may_write(gen, nodes, boot, connection, lease)
if not n then return alive end
local fields, reply = read(s)
if not fields then return reply end
local notice = {unpack(ARGV, 6, 12)}
if not fields.v then
  -- What is known by its incarnation may be put back by a node that holds it.
  if v == '' or fields.x == v then return {'missing'} end
  return destroy(s, fields, v, m, l, n, notice, 'missing')
end
if v ~= '' and fields.v ~= v then return {'missing'} end
if how == '' and not fields['c:' .. boot] and
    others(s, fields, boot, alive) == 0 then
  return {'nobody'}
end
return destroy(s, fields, fields.v, m, l, n, notice, 'ok')
