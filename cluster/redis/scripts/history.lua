#!lua flags=no-writes
-- history: the last messages of a channel. scripts.h
-- include: clock.lua
-- include: read.lua
local m, l = KEYS[1], KEYS[2]
local count, bytes, before = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local last = redis.pcall('XREVRANGE', l, '+', '-', 'COUNT', 1)
if last.err then return last end
local from = before == '' and '+' or '(' .. before
local entries, err = read('XREVRANGE', l, from, '-', math.max(count, 1), bytes,
                          true)
if not entries then return err end
entries, err = keep_young(m, entries, count)
if not entries then return err end
local ok, id, boot, seq = top_of(last[1])
return {ok, id, boot, seq, entries}
