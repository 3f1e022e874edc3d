#!lua flags=allow-oom
-- beat: a node shows that it is alive, and learns the generation. scripts.h
-- include: clock.lua
-- include: alive.lua
-- include: gone.lua
local gen, nodes, node = unpack(KEYS)
local channel, token, boot, connection, count, lease = unpack(ARGV, 1, 6)
local layout, fingerprint = ARGV[7], ARGV[8]
lease = tonumber(lease)

-- What differs between two texts of "KEY=VALUE" lines: theirs, ours, theirs,
-- ours ... appended to `out`.
local function differences(out, theirs, ours)
  local stored, seen = {}, {}
  for line in string.gmatch(theirs, '[^\n]+') do
    stored[string.match(line, '^[^=]*')] = line
  end
  for line in string.gmatch(ours, '[^\n]+') do
    local key = string.match(line, '^[^=]*')
    seen[key] = true
    if stored[key] ~= line then
      out[#out + 1] = stored[key] or ''
      out[#out + 1] = line
    end
  end
  for line in string.gmatch(theirs, '[^\n]+') do
    if not seen[string.match(line, '^[^=]*')] then
      out[#out + 1] = line
      out[#out + 1] = ''
    end
  end
end

-- The cluster's settings are those of its living nodes. When others were
-- silent for a lease, but not for a whole grace, they may come back.
local function others_may_live(now, grace)
  local other = newest_beat(nodes, boot)
  if other == 0 then return false end
  if other + lease >= now or grace >= now then return true end
  if grace > other + lease then return false end -- they had it
  redis.call('ZADD', nodes, whole(now + lease), '!grace')
  return true
end

-- Forget the boots that were silent for ten leases.
local function drop_old(now)
  local limit = '(' .. whole(now - 10 * lease)
  local old = redis.call('ZRANGEBYSCORE', nodes, '-inf', limit)
  for _, member in ipairs(old) do
    local field = 'k:' .. string.match(member, '^-?(.*)$')
    local kept = redis.call('HGET', gen, field) == '-' -- for its own time
    if not kept or string.sub(member, 1, 1) == '-' then
      redis.call('HDEL', gen, field)
    end
    redis.call('ZREM', nodes, member)
  end
end

local role, replid = server()
if role ~= 'master' then -- a replica that takes writes
  return redis.error_reply('READONLY webwire: this is a replica')
end

-- Everything is read before anything is written.
local stored = redis.pcall('HMGET', gen, 'n', 'id', 'born', 'v', 'fp',
                           'k:' .. boot)
if stored.err then return stored end
local own = redis.pcall('ZSCORE', nodes, boot)
if type(own) == 'table' then return own end
local counted = redis.pcall('HGET', node, 'n')
if type(counted) == 'table' then return counted end
local n, born = stored[1], tonumber(stored[3] or nil) or 0
if counted and (tonumber(counted) or 0) >= tonumber(count) then
  return {'clone', n or '0', born}
end

local us, now = clock()
local grace = tonumber(redis.call('ZSCORE', nodes, '!grace') or 0)
local newest = newest_beat(nodes)
if newest > now + lease then -- the clock was set back: as if they beat now
  local ahead = redis.call('ZRANGEBYSCORE', nodes, whole(now), '+inf')
  for _, member in ipairs(ahead) do
    redis.call('ZADD', nodes, whole(now), member)
  end
  newest, own, grace = 0, own and now, now
end
if n and (stored[4] ~= layout or stored[5] ~= fingerprint) then
  local answer = {'disagree'}
  differences(answer, 'layout=' .. (stored[4] or ''), 'layout=' .. layout)
  differences(answer, stored[5] or '', fingerprint)
  if #answer > 1 then
    if others_may_live(now, grace) then return answer end
    redis.call('HSET', gen, 'v', layout, 'fp', fingerprint)
  end
end

local changed = not n or stored[2] ~= replid
if changed then
  if not n then
    local random = redis.sha1hex(replid .. whole(us) .. boot .. token)
    born = tonumber(string.sub(random, 1, 13), 16)
  end
  n = next_number(us, counted_ms(n), replid)
  if not n then
    return redis.error_reply('ERR webwire: generation out of range')
  end
  redis.call('HSET', gen, 'n', n, 'id', replid, 'born', whole(born), 'v',
             layout, 'fp', fingerprint)
  redis.call('PEXPIRE', gen, 604800000)
end
if now > newest + lease / 2 or changed then
  grace = now + lease
  redis.call('ZADD', nodes, whole(grace), '!grace')
  redis.call('PEXPIRE', nodes, 20 * lease)
end
if stored[6] == '-' or (own and own + lease < now and grace < now) then
  gone(gen, nodes, node, boot, now, lease)
  return {'fenced', n, born}
end
drop_old(now)
redis.call('ZADD', nodes, whole(now), boot)
redis.call('ZREM', nodes, '-' .. boot)
redis.call('HSET', gen, 'k:' .. boot, connection)
redis.call('HSET', node, 'n', count, 'name', ARGV[9], 'address', ARGV[10],
           'version', ARGV[11], 'started', ARGV[12], 'connections', ARGV[13],
           'draining', ARGV[14])
redis.call('PEXPIRE', gen, 604800000)
redis.call('PEXPIRE', nodes, 20 * lease)
redis.call('PEXPIRE', node, 2 * lease)
redis.call('PUBLISH', channel, token .. ' ' .. n)
return {'ok', n, born, now, math.max(0, grace - now)}
