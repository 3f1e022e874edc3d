#!lua flags=allow-oom
-- bye: a node leaves; from now on it counts as dead. scripts.h
-- include: clock.lua
-- include: gone.lua
local gen, nodes, node = unpack(KEYS)
local kind = redis.pcall('ZCARD', nodes)
if type(kind) == 'table' then return kind end
kind = redis.pcall('HLEN', gen)
if type(kind) == 'table' then return kind end
local _, now = clock()
gone(gen, nodes, node, ARGV[1], now, tonumber(ARGV[2]))
redis.call('ZREM', nodes, ARGV[1])
return {'ok'}
