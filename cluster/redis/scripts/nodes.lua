#!lua flags=no-writes
-- nodes: those that are alive. scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: moved.lua
local prefix, lease, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local rows = redis.pcall('ZREVRANGE', KEYS[1], 0, -1, 'WITHSCORES')
if rows.err then return rows end
local alive = living(KEYS[1], lease)
local _, now = clock()
local out = {'ok'}
for i = 1, #rows, 2 do
  local boot = rows[i]
  if #out > 8 * most then break end
  if string.match(boot, '^%x+$') and alive(boot) then
    local node = redis.pcall('HMGET', prefix .. boot, 'name', 'address',
                             'version', 'started', 'connections', 'draining')
    if is_moved(node) then return node end
    out[#out + 1] = boot
    out[#out + 1] = math.max(0, now - rows[i + 1])
    for field = 1, 6 do out[#out + 1] = node[field] or '' end
  end
end
return out
