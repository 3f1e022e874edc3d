#!lua flags=allow-oom
-- bye: a node leaves; from now on it counts as dead. scripts.h
local gone = redis.pcall('ZREM', KEYS[1], ARGV[1])
if type(gone) == 'table' then return gone end
redis.call('DEL', KEYS[2])
return {'ok'}
