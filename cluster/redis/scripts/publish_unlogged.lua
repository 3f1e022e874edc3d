#!lua
-- publish_unlogged: tell subscribers, keep nothing. scripts.h
-- include: clock.lua
local _, ms = clock()
redis.call('PUBLISH', ARGV[1], '0-0 ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' ..
                                   whole(ms) .. ' ' .. ARGV[4])
return {'ok'}
