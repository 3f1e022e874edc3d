#!lua flags=allow-oom
-- create: put a session there, unless there is one. session_scripts.h
-- include: clock.lua
-- include: current.lua
-- include: alive.lua
-- include: session.lua
local s, gen, nodes = unpack(KEYS)
local boot, connection, lease, ttl, v, count, max, json, looked = unpack(ARGV)

local n, alive = may_write(gen, nodes, boot, connection, lease)
if not n then return alive end
local fields, reply = read(s)
if not fields then return reply end
if fields.x == v then return {'closed'} end
if fields.v and fields.v ~= v then return {'taken'} end
if not fields.v then
  redis.call('HSET', s, 'v', v, 'j', json, 'l', looked)
  drop_fields(s, fields, {v = true, j = true, l = true})
  if max ~= '' then redis.call('HSET', s, 'max', max) end
end
set_count(s, boot, count, ttl)
return {'ok'}
