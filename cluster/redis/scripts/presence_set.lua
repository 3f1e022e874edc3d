#!lua flags=allow-oom
-- presence_set: a node's connections of one member of a channel. scripts.h
local rows, index = KEYS[1], KEYS[2]
local boot, member, count, info, total, ttl = unpack(ARGV, 1, 6)
local had = redis.pcall('HEXISTS', rows, member)
if type(had) == 'table' then return had end
local score = redis.pcall('ZSCORE', index, boot)
if type(score) == 'table' then return score end
if count == '0' then
  redis.call('HDEL', rows, member)
else
  redis.call('HSET', rows, member, count .. ' ' .. info)
end
if total == '0' then
  redis.call('ZREM', index, boot)
else
  redis.call('ZADD', index, total, boot)
end
redis.call('PEXPIRE', rows, ttl)
redis.call('PEXPIRE', index, ttl)
return {'ok'}
