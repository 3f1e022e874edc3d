#!lua flags=allow-oom
-- beat: a node shows that it is alive, and learns the generation. scripts.h
-- include: clock.lua
-- include: alive.lua
local channel, token, boot, count, lease = unpack(ARGV, 1, 5)
local layout, fingerprint = ARGV[6], ARGV[7]
local gen, nodes, node = KEYS[1], KEYS[2], KEYS[3]
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
  return out
end

local role, replid = server()
if role ~= 'master' then -- a replica that takes writes
  return redis.error_reply('READONLY webwire: this is a replica')
end

-- Everything is read before anything is written.
local stored = redis.pcall('HMGET', gen, 'n', 'id', 'born', 'v', 'fp')
if stored.err then return stored end
local own = redis.pcall('ZSCORE', nodes, boot)
if type(own) == 'table' then return own end
local counted = redis.pcall('HGET', node, 'n')
if type(counted) == 'table' then return counted end
local grace = tonumber(redis.call('ZSCORE', nodes, '!grace') or 0)
local newest = newest_beat(nodes)
local n, born = stored[1], tonumber(stored[3] or nil) or 0
if n and (stored[4] ~= layout or stored[5] ~= fingerprint) then
  local answer = {'disagree'}
  differences(answer, 'layout=' .. (stored[4] or ''), 'layout=' .. layout)
  differences(answer, stored[5] or '', fingerprint)
  if #answer > 1 then return answer end
end

local us, now = clock()
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
  redis.call('HSET', gen, 'n', n, 'id', replid, 'born', whole(born),
             'v', layout, 'fp', fingerprint)
end
if newest > now + lease then -- the clock was set back
  redis.call('ZREMRANGEBYSCORE', nodes, '(' .. whole(now + lease), '+inf')
  newest, own = 0, false
end
if now > newest + lease / 2 or changed then
  grace = now + lease
  redis.call('ZADD', nodes, whole(grace), '!grace')
  redis.call('PEXPIRE', nodes, 20 * lease)
end
if own and own + lease < now and grace < now then return {'fenced', n, born} end
if counted and (tonumber(counted) or 0) >= tonumber(count) then
  return {'clone', n, born}
end
redis.call('ZADD', nodes, whole(now), boot)
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', '(' .. whole(now - 10 * lease))
redis.call('HSET', node, 'n', count, 'name', ARGV[8], 'address', ARGV[9],
           'version', ARGV[10], 'started', ARGV[11], 'connections', ARGV[12],
           'draining', ARGV[13])
redis.call('PEXPIRE', gen, 604800000)
redis.call('PEXPIRE', nodes, 20 * lease)
redis.call('PEXPIRE', node, 2 * lease)
redis.call('PUBLISH', channel, token .. ' ' .. n)
return {'ok', n, born, now, math.max(0, grace - now)}
