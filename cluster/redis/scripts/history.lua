#!lua flags=no-writes
-- history: the last entries of a channel. scripts.h
-- include: clock.lua
-- include: read.lua
local answer, err = read_last(KEYS[1], KEYS[2], tonumber(ARGV[1]),
                              tonumber(ARGV[2]))
return answer or err
