#!lua flags=allow-oom
-- presence_list: who is on a channel, on all nodes that are alive. scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: moved.lua
local nodes, index = KEYS[1], KEYS[2]
local prefix, lease, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local boots = redis.pcall('ZRANGE', index, 0, -1, 'WITHSCORES')
if boots.err then return boots end
local kind = redis.pcall('ZCARD', nodes)
if type(kind) == 'table' then return kind end
local alive = living(nodes, lease)
local total, more, order, members, infos = 0, 0, {}, {}, {}

-- One node's rows; of too many, some.
local function add(rows)
  local found = redis.pcall('HRANDFIELD', rows, most, 'WITHVALUES')
  if is_moved(found) then return found end
  if #found < 2 * (tonumber(redis.pcall('HLEN', rows)) or 0) then more = 1 end
  for i = 1, #found, 2 do
    local member = found[i]
    local count, info = string.match(found[i + 1], '^(%d+) (.*)$')
    if count and members[member] then
      members[member] = members[member] + count
    elseif count and #order < most then
      order[#order + 1] = member
      members[member], infos[member] = tonumber(count), info
    else
      more = 1
    end
  end
end

for i = 1, #boots, 2 do
  local boot = boots[i]
  if alive(boot) then
    total = total + boots[i + 1]
    local err = most > 0 and add(prefix .. boot)
    if err then return err end
  else
    redis.call('ZREM', index, boot)
    redis.call('DEL', prefix .. boot)
  end
end
local out = {'ok', total, more}
for _, member in ipairs(order) do
  out[#out + 1] = member
  out[#out + 1] = members[member]
  out[#out + 1] = infos[member]
end
return out
