#!lua
-- direct: bytes for one node. scripts.h
return {'ok', redis.call('PUBLISH', ARGV[1], ARGV[2])}
