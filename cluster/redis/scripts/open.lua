#!lua
-- open: make sure of a channel's epoch; its last entries. scripts.h
-- include: clock.lua
-- include: keep.lua
-- include: current.lua
-- include: epoch.lua
-- include: read.lua
local m, l = KEYS[1], KEYS[2]
local boot, connection, ttl, count, bytes = unpack(ARGV)
local gen, reply = current(KEYS[3], boot, connection)
if not gen then return reply end
local good
good, reply = ensure_epoch(m, l, gen, ttl)
if not good then return reply end
keep(m, ttl)
keep(l, ttl)
local answer, err = read_last(m, l, tonumber(count), tonumber(bytes))
return answer or err
