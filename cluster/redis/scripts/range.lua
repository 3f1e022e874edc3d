#!lua flags=no-writes
-- range: entries of a log from an id on. scripts.h
-- include: clock.lua
-- include: read.lua
local entries, more = read('XRANGE', KEYS[1], ARGV[1], '+', tonumber(ARGV[2]),
                           tonumber(ARGV[3]))
if not entries then return more end
return {'ok', more and 1 or 0, entries}
