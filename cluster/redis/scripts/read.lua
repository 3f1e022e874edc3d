-- read.lua - entries of a log, as many as a reply may hold.

-- XRANGE or XREVRANGE of at most `count` entries from `from` on, and about
-- `bytes`, but at least one; with `messages` no fork records. Returns the
-- entries, and whether there may be more; nil and an error.
local function read(command, l, from, to, count, bytes, messages)
  local out, size, last = {}, 0, nil
  repeat
    local step = math.min(count - #out, 16)
    local some = redis.pcall(command, l, last and '(' .. last or from, to,
                             'COUNT', step)
    if some.err then return nil, some end
    for i = 1, #some do
      last = some[i][1]
      if not messages or some[i][2][2] ~= '' then
        size = size + 128 + #(some[i][2][8] or '')
        if size > bytes and #out > 0 then return out, true end
        out[#out + 1] = some[i]
      end
    end
  until #some < step or #out >= count
  return out, #out >= count
end

-- Of entries, newest first, drop all but the first `count`, and those older than
-- the age that is in m: a busy log holds older ones, for it is cut by their
-- number. Returns the entries; nil and an error.
local function keep_young(m, entries, count)
  local age = redis.pcall('HGET', m, 'a')
  if type(age) == 'table' then return nil, age end
  age = tonumber(age or nil)
  local _, now = clock()
  for i = #entries, 1, -1 do
    local time = tonumber(entries[i][2][6] or nil)
    if i > count or (age and time and time + age < now) then
      entries[i] = nil
    end
  end
  return entries
end

-- What a reply says of the last entry of a log: its id, boot, seq.
local function top_of(entry)
  if not entry then return 'ok', '', '', '' end
  local fields = entry[2]
  local seq = fields[2] == '' and '' or fields[4] or ''
  return 'ok', entry[1], fields[2], seq
end

-- The last entries, newest first. Returns what a reply holds: id, boot, seq of
-- the last, and the entries; nil and an error.
local function read_last(m, l, count, bytes)
  local entries, err = read('XREVRANGE', l, '+', '-', math.max(count, 1),
                            bytes)
  if not entries then return nil, err end
  local ok, id, boot, seq = top_of(entries[1])
  entries, err = keep_young(m, entries, count)
  if not entries then return nil, err end
  return {ok, id, boot, seq, entries}
end
