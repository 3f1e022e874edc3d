#!lua
-- direct: bytes for one node. scripts.h
-- include: clock.lua
-- include: alive.lua
local lease, boot, channel, bytes = unpack(ARGV)
local kind = redis.pcall('ZCARD', KEYS[1])
if type(kind) == 'table' then return kind end
if not living(KEYS[1], lease)(boot) then return {'dead'} end
return {'ok', redis.call('PUBLISH', channel, bytes)}
