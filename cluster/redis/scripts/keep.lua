-- keep.lua - expiry.

-- Let a key live for at least ttl ms from now.
local function keep(key, ttl)
  if redis.call('PEXPIRE', key, ttl, 'GT') == 0 then
    redis.call('PEXPIRE', key, ttl, 'NX')
  end
end
