-- alive.lua - who is alive (R12, R13). Needs clock.lua. Key: nodes, a sorted
-- set of boot ids by the time of their last beat, in ms; '!grace' among them is
-- the time until which nobody is dead.

-- The newest beat, 0: none.
local function newest_beat(nodes)
  local top = redis.call('ZREVRANGE', nodes, 0, 1, 'WITHSCORES')
  if top[1] == '!grace' then return tonumber(top[4]) or 0 end
  return tonumber(top[2]) or 0
end

-- Returns a function that tells whether a boot id is alive; raises an error for
-- a key of another type. A node is dead only when it was silent while others
-- were heard: while no beat comes at all, it is Redis that was away.
local function living(nodes, lease)
  lease = tonumber(lease)
  local _, now = clock()
  local grace = tonumber(redis.call('ZSCORE', nodes, '!grace') or 0)
  local all = now <= grace or newest_beat(nodes) + lease / 2 < now
  return function(boot)
    if all then return true end
    local beat = tonumber(redis.call('ZSCORE', nodes, boot) or nil)
    return beat ~= nil and beat + lease >= now
  end
end
