-- gone.lua - the end of a boot: it is dead at once, its commands that are still
-- on their way do not count, and its beats do not revive it. Forgotten after
-- nine leases.
local function gone(gen, nodes, node, boot, now, lease)
  local long_ago = string.format('%.0f', now - lease - 1)
  redis.call('ZADD', nodes, 'XX', 'LT', long_ago, boot)
  redis.call('ZADD', nodes, long_ago, '-' .. boot)
  redis.call('PEXPIRE', nodes, 20 * lease)
  if redis.call('EXISTS', gen) == 1 then
    redis.call('HSET', gen, 'k:' .. boot, '-')
  end
  redis.call('DEL', node)
end
