#!lua
-- publish_unlogged: tell subscribers, keep nothing. scripts.h
-- include: clock.lua
-- include: current.lua
local channel, boot, connection, author, seq, data = unpack(ARGV)
local gen, reply = current(KEYS[1], boot, connection)
if not gen then return reply end
local _, ms = clock()
redis.call('PUBLISH', channel, '0-0 ' .. author .. ' ' .. seq .. ' ' ..
                                   whole(ms) .. ' ' .. data)
return {'ok'}
