#!lua
-- open: make sure of a channel's epoch; its last entries. scripts.h
-- include: clock.lua
-- include: keep.lua
-- include: epoch.lua
local m, l, ttl = KEYS[1], KEYS[2], ARGV[1]
local count = tonumber(ARGV[2])
local gen, reply = generation(KEYS[3])
if not gen then return reply end
local good
good, reply = ensure_epoch(m, l, gen, ttl)
if not good then return reply end
keep(m, ttl)
keep(l, ttl)
local entries = redis.call('XREVRANGE', l, '+', '-', 'COUNT',
                           math.max(count, 1))
local id, fields = entries[1][1], entries[1][2]
local seq = fields[2] == '' and '' or fields[4] or ''
-- A busy channel's log holds what is older than its age: it is cut by count.
local age = tonumber(redis.call('HGET', m, 'a') or nil)
local _, now = clock()
for i = #entries, 1, -1 do
  local time = tonumber(entries[i][2][6] or nil)
  if i > count or (age and time and time + age < now) then entries[i] = nil end
end
return {'ok', id, fields[2], seq, entries}
