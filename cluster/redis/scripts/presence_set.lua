#!lua flags=allow-oom
-- presence_set: a node's connections of members of a channel. scripts.h
-- include: current.lua
local gen, rows, index = unpack(KEYS)
local boot, connection, total, ttl, replace = unpack(ARGV, 1, 5)
local n, reply = current(gen, boot, connection)
if not n then return reply end
local had = redis.pcall('HLEN', rows)
if type(had) == 'table' then return had end
local score = redis.pcall('ZSCORE', index, boot)
if type(score) == 'table' then return score end
if replace == '1' then redis.call('DEL', rows) end
for i = 6, #ARGV, 3 do
  local member, count, info = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if count == '0' then
    redis.call('HDEL', rows, member)
  else
    redis.call('HSET', rows, member, count .. ' ' .. info)
  end
end
if total == '0' then
  redis.call('ZREM', index, boot)
else
  redis.call('ZADD', index, total, boot)
end
redis.call('PEXPIRE', rows, ttl)
redis.call('PEXPIRE', index, ttl)
return {'ok'}
