-- alive.lua - who is alive (R12, R13). Needs clock.lua. Key: nodes, a sorted
-- set of boot ids by the time of their last beat, in ms. Among them '!grace':
-- until then nobody is dead but those that are known to be gone, and '-BOOT' of
-- these.

-- The newest beat of all but one boot, 0: none.
local function newest_beat(nodes, except)
  local from = 0
  repeat
    local top = redis.call('ZREVRANGE', nodes, from, from + 2, 'WITHSCORES')
    for i = 1, #top, 2 do
      local boot = top[i]
      if boot ~= '!grace' and boot ~= except and
          string.sub(boot, 1, 1) ~= '-' then
        return tonumber(top[i + 1])
      end
    end
    from = from + 3
  until #top == 0
  return 0
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
    if all then return not redis.call('ZSCORE', nodes, '-' .. boot) end
    local beat = tonumber(redis.call('ZSCORE', nodes, boot) or nil)
    return beat ~= nil and beat + lease >= now
  end
end
