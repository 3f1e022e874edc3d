-- epoch.lua - a channel's log: its epochs (R1, R2) and how an entry is added.
-- Needs clock.lua, keep.lua. Keys: m the channel's meta, l its log.
--
-- What these functions return beside a result is the script's reply when there
-- is no result: an error. Nothing was written then. Errors are returned, not
-- raised: Redis marks only raised ones as "from inside a script", which callers
-- must take for "perhaps done".

-- Begin an epoch: its first entry, the fork record, says which one it
-- continues, and why there is a new one. `meta` is what m holds: e, r. The log
-- is written first: meta that names an epoch without a fork record would let a
-- message have its number. Returns the epoch as text; nil and the reply.
local function begin_epoch(m, l, gen, meta, ttl)
  local last = ''
  local exists = redis.call('EXISTS', l) == 1
  if exists then
    local info = redis.pcall('XINFO', 'STREAM', l)
    if info.err then return nil, info end
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then last = info[i + 1] end
    end
  end
  local why = 'order'
  if not exists then why = meta[1] and 'log' or 'new'
  elseif not meta[1] then why = 'meta'
  elseif meta[2] ~= gen then why = 'generation' end
  local us, ms = clock()
  local _, replid = server()
  local before = math.max(counted_ms(string.match(last, '^%d+')),
                          counted_ms(meta[1]))
  local epoch = next_number(us, before, replid)
  if not epoch then
    return nil, redis.error_reply('ERR webwire: ids out of range: ' .. l)
  end
  if last == '0-0' then last = '' end
  local added = redis.pcall('XADD', l, epoch .. '-0', 'b', '', 's', last,
                            't', whole(ms), 'd', why)
  if added.err then return nil, added end
  redis.call('HSET', m, 'e', epoch, 'r', gen, 'p', last, 'w', why)
  keep(m, ttl)
  keep(l, ttl)
  return epoch
end

-- Make sure that the channel has an epoch of this generation. Returns true; nil
-- and the reply.
local function ensure_epoch(m, l, gen, ttl)
  local meta = redis.pcall('HMGET', m, 'e', 'r')
  if meta.err then return nil, meta end
  if meta[2] == gen then
    local last = redis.pcall('XREVRANGE', l, '+', '-', 'COUNT', 1)
    if last.err then return nil, last end
    local id = last[1] and last[1][1]
    if id and string.sub(id, 1, #meta[1] + 1) == meta[1] .. '-' then
      return true
    end
  end
  local epoch, reply = begin_epoch(m, l, gen, meta, ttl)
  return epoch and true, reply
end

-- XADD to the epoch. False: the log is missing or of another epoch.
local function add(l, epoch, limit, boot, seq, ms, data)
  local id = redis.pcall('XADD', l, 'NOMKSTREAM', 'MAXLEN', '~', limit,
                         epoch .. '-*', 'b', boot, 's', seq, 't', ms, 'd',
                         data)
  if not id then return false end
  if id.err then
    return not string.find(id.err, 'equal or smaller', 1, true) and id
  end
  if string.sub(id, -2) ~= '-0' then return id end
  redis.call('XDEL', l, id) -- the epoch's fork record is not there
  return false
end

-- Append an entry in generation `gen`; at most about `limit` entries are kept
-- (rather more, up to 100), and `age` ms are noted for readers. `touch`: renew
-- the expiry of both keys, which new keys always get. Returns the id and the
-- time, both as text; nil and the reply. What follows may only be what
-- publish_entry() does.
local function append(m, l, gen, boot, seq, data, limit, age, ttl, touch)
  local meta = redis.pcall('HMGET', m, 'e', 'r')
  if meta.err then return nil, meta end
  local _, ms = clock()
  ms = whole(ms)
  local id = false
  if meta[2] == gen then
    id = add(l, meta[1], limit, boot, seq, ms, data)
  end
  if not id then
    local epoch, reply = begin_epoch(m, l, gen, meta, ttl)
    if not epoch then return nil, reply end
    id = add(l, epoch, limit, boot, seq, ms, data)
    touch = true
  end
  if type(id) ~= 'string' then return nil, id end
  if touch then
    redis.call('HSET', m, 'a', age)
    keep(m, ttl)
    keep(l, ttl)
  end
  return id, ms
end

-- Tell the subscribers; must be the last thing that a script does.
local function publish_entry(channel, id, boot, seq, ms, data)
  redis.call('PUBLISH', channel,
             id .. ' ' .. boot .. ' ' .. seq .. ' ' .. ms .. ' ' .. data)
end
