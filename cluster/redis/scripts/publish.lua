#!lua
-- publish: append a message to a channel's log and tell subscribers. scripts.h
-- include: clock.lua
-- include: keep.lua
-- include: current.lua
-- include: epoch.lua
local m, l = KEYS[1], KEYS[2]
local channel, boot, connection, author, seq, data = unpack(ARGV, 1, 6)
local limit, age, ttl, flags = unpack(ARGV, 7, 10)
local CLOCK_MARGIN = 3000 -- ms

-- Scan entries for the publish itself, then for a later one of the same boot:
-- the whole range first, for a later one may stand before it was retried.
local function scan(entries, most)
  local found = nil
  for i = 1, math.min(#entries, most) do
    local entry = entries[i]
    local fields = entry[2]
    if fields[2] == author then
      if fields[4] == seq then return {'dup', entry[1]} end
      if tonumber(fields[4]) > tonumber(seq) then found = {'superseded'} end
    end
  end
  return found
end

-- True when nothing older than the oldest of all entries scanned can be it: the
-- scan reached the beginning of a log that continues none, or an entry from
-- before the first attempt.
local function reaches_back(oldest, whole_log, tried_ms)
  local fields = oldest[2]
  if whole_log and fields[2] == '' and fields[4] == '' then return true end
  local time = tonumber(fields[6] or nil)
  local _, now = clock()
  return time and time + tried_ms + CLOCK_MARGIN < now
end

-- Is it in the log already? Returns the reply, or nil: it certainly is not.
-- Forward from the hint when the log holds that very entry, else backward from
-- the end: the hint may be from a branch that was forgotten.
local function look_for(hint, deep, tried_ms)
  local first = redis.pcall('XRANGE', l, '-', '+', 'COUNT', 1)
  if first.err then return first end
  if not first[1] then return nil end
  -- What was acknowledged has its own id for a hint: where the log goes on in
  -- that epoch but begins later, it was there and has been trimmed.
  if deep then
    local epoch, offset = string.match(first[1][1], '^(%d+)-(%d+)$')
    local hint_epoch, hint_offset = string.match(hint, '^(%d+)-(%d+)$')
    if epoch == hint_epoch and tonumber(offset) > tonumber(hint_offset) then
      return {'dup', hint}
    end
  end
  local most = deep and 1000 or 256
  local entries = hint == '0-0' and {} or
                      redis.call('XRANGE', l, hint, '+', 'COUNT', most + 1)
  if entries[1] and entries[1][1] == hint then
    return scan(entries, most) or (#entries > most and {'wrapped'} or nil)
  end
  entries = redis.call('XREVRANGE', l, '+', '-', 'COUNT', 1001)
  local oldest = entries[math.min(#entries, 1000)]
  local found = scan(entries, 1000)
  if found or reaches_back(oldest, #entries <= 1000, tried_ms) then
    return found
  end
  return {'wrapped'}
end

local gen, reply = current(KEYS[3], boot, connection)
if not gen then return reply end
local touch = false
if flags ~= '' then
  touch = string.find(flags, 't', 1, true)
  if string.find(flags, 'r', 1, true) then
    reply = look_for(ARGV[11], string.find(flags, 'd', 1, true),
                     tonumber(ARGV[12]))
    if reply then return reply end
  end
end
local id, ms = append(m, l, gen, author, seq, data, limit, age, ttl,
                      touch)
if not id then return ms end
publish_entry(channel, id, author, seq, ms, data)
return {'ok', id}
