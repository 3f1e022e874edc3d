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
local LEAST, MOST = 1000, 10000 -- entries

-- Is this entry the publish itself? true, or "later": one of the same author.
local function is_own(entry)
  local fields = entry[2]
  if fields[2] ~= author then return false end
  if fields[4] == seq then return true end
  return tonumber(fields[4]) > tonumber(seq) and 'later'
end

local function is_before(entry, ms)
  local time = tonumber(entry[2][6] or nil)
  return time and time < ms
end

-- Read the log in growing steps until the publish is found, or, behind the
-- first thousand (for masters' clocks differ), an entry from before `oldest` ms.
-- A later one ends nothing: the publish may stand behind it, where an earlier
-- retry put it. Returns the reply, nil when it was not met; whether everything
-- was read; the last entry.
local function scan(command, from, to, oldest)
  local found, count, step, last = nil, 0, 16, nil
  repeat
    local some = redis.call(command, l, last and '(' .. last[1] or from, to,
                            'COUNT', step)
    for i = 1, #some do
      last = some[i]
      local own = is_own(last)
      if own == true then return {'dup', last[1]} end
      if own then found = {'superseded'} end
    end
    if #some < step then return found, true, last end
    count = count + step
    if oldest and count >= LEAST and is_before(last, oldest) then break end
    step = math.min(256, 4 * step, MOST - count)
  until step == 0
  local more = redis.call(command, l, '(' .. last[1], to, 'COUNT', 1)
  return found, not more[1], last
end

-- True when a is not behind b; both are ids.
local function reaches(a, b)
  local epoch_a, offset_a = string.match(a, '^(%d+)-(%d+)$')
  local epoch_b, offset_b = string.match(b, '^(%d+)-(%d+)$')
  if epoch_a == epoch_b then return tonumber(offset_a) <= tonumber(offset_b) end
  return #epoch_a < #epoch_b or (#epoch_a == #epoch_b and epoch_a < epoch_b)
end

-- What was acknowledged has its own id for a hint. Where the log goes on in
-- that epoch but begins later, it was there and has been trimmed.
local function was_trimmed(first, hint)
  return string.match(first, '^%d+') == string.match(hint, '^%d+') and
             not reaches(first, hint)
end

-- Is it in the log already? Returns the reply, or nil: it certainly is not.
-- Forward from the hint when the log holds that very entry, else backward from
-- the end: the hint may be from a branch that was forgotten. It was not sent
-- before `since`.
local function look_for(hint, deep, sure, since)
  local first = redis.pcall('XRANGE', l, '-', '+', 'COUNT', 1)
  if first.err then return first end
  if not first[1] then return nil end
  if (deep or sure) and was_trimmed(first[1][1], hint) then
    return {'dup', hint}
  end
  local there = redis.call('XRANGE', l, hint, hint)[1]
  if there and is_own(there) == true then return {'dup', hint} end
  if sure and reaches(first[1][1], hint) then return nil end
  if there then
    local found, whole_rest = scan('XRANGE', hint, '+')
    return found or not whole_rest and {'wrapped'} or nil
  end
  local oldest = since - CLOCK_MARGIN
  local found, _, last = scan('XREVRANGE', '+', '-', oldest)
  -- It was appended once, before the later one, and what a new master forgets
  -- is always the end of a log: so it was there, too, and has been trimmed.
  if sure and found and found[1] == 'superseded' then return {'dup', hint} end
  if found or is_before(last, oldest) then return found end
  -- The beginning of a log that continues none?
  local fields = last[2]
  if fields[2] == '' and fields[4] == '' then return nil end
  return {'wrapped'}
end

local gen, reply = current(KEYS[3], boot, connection)
if not gen then return reply end
local touch = false
if flags ~= '' then
  touch = string.find(flags, 't', 1, true)
  if string.find(flags, 'r', 1, true) then
    reply = look_for(ARGV[11], string.find(flags, 'd', 1, true),
                     string.find(flags, 'a', 1, true), tonumber(ARGV[12]))
    if reply then return reply end
  end
end
local id, ms = append(m, l, gen, author, seq, data, limit, age, ttl,
                      touch)
if not id then return ms end
publish_entry(channel, id, author, seq, ms, data)
return {'ok', id}
