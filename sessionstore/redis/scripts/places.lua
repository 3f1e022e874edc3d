#!lua flags=allow-oom
-- places: who has connections of a session. session_scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: moved.lua
-- include: session.lua
local s, nodes = unpack(KEYS)
local lease, node_key = unpack(ARGV)

local fields, reply = read(s)
if not fields then return reply end
if not fields.v then return {'missing'} end
local alive
alive, reply = living_or_error(nodes, lease)
if not alive then return reply end
local answer = {'ok'}
for field, count in pairs(fields) do
  local boot = string.match(field, '^c:(.*)$')
  if boot and alive(boot) then
    local name = redis.pcall('HGET', node_key .. boot, 'name')
    if is_moved(name) then return name end
    answer[#answer + 1] = type(name) == 'string' and name or boot
    answer[#answer + 1] = count
  end
end
return answer
