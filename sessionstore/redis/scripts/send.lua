#!lua flags=allow-oom
-- send: bytes to every node that has connections of a session.
-- session_scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: session.lua
local s, nodes = unpack(KEYS)
local lease, channel, head, bytes = unpack(ARGV)

local fields, reply = read(s)
if not fields then return reply end
if not fields.v then return {'missing'} end
local alive
alive, reply = living_or_error(nodes, lease)
if not alive then return reply end
local to = {}
for field in pairs(fields) do
  local boot = string.match(field, '^c:(.*)$')
  if boot and alive(boot) then to[#to + 1] = channel .. boot end
end
if #to == 0 then return {'missing'} end
local message = head .. fields.v .. bytes
for _, name in ipairs(to) do redis.call('PUBLISH', name, message) end
return {'ok', #to}
