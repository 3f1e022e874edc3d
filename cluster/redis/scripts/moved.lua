-- moved.lua - keys that a script finds by itself, while their slot moves to
-- another node of a Redis Cluster.

-- Is this reply of redis.pcall() the error that the key is on the other side by
-- now? Then the script is to return it, and is asked again.
local function is_moved(reply)
  return type(reply) == 'table' and reply.err and
             string.find(reply.err, 'non local key', 1, true)
end
