#!lua flags=allow-oom
-- presence_renew: keep a node's rows of many channels. scripts.h
local boot, ttl = ARGV[1], ARGV[2]
local out = {'ok'}
for i = 1, #KEYS, 2 do
  local channel = (i + 1) / 2
  local rows = redis.call('PEXPIRE', KEYS[i], ttl)
  redis.call('PEXPIRE', KEYS[i + 1], ttl)
  local score = redis.pcall('ZSCORE', KEYS[i + 1], boot)
  if rows == 0 or type(score) ~= 'string' or
      tonumber(score) ~= tonumber(ARGV[2 + channel]) then
    out[#out + 1] = channel
  end
end
return out
