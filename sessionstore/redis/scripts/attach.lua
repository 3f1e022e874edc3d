#!lua flags=allow-oom
-- attach: our count, as far as the maximum lets; the session.
-- session_scripts.h
-- include: clock.lua
-- include: current.lua
-- include: alive.lua
-- include: session.lua
local s, gen, nodes = unpack(KEYS)
local boot, connection, lease, ttl, v, count, had, whole_count, max, look =
    unpack(ARGV)

local n, alive = may_write(gen, nodes, boot, connection, lease)
if not n then return alive end
local fields, reply = read(s)
if not fields then return reply end
if not fields.v or (v ~= '' and fields.v ~= v) then return {'missing'} end
count = tonumber(count)
local most = tonumber(max ~= '' and max or fields.max) or 0
local elsewhere = others(s, fields, boot, alive)
if most > 0 and elsewhere + count > most then
  if whole_count == '1' then
    redis.call('HDEL', s, 'c:' .. boot)
    return {'full'}
  end
  count = math.max(tonumber(had), most - elsewhere)
end
local looked = fields.l or ''
if look ~= '' and look == looked then
  looked = fields.pl or '' -- asked again, for the answer was lost
elseif look ~= '' then
  redis.call('HSET', s, 'l', look, 'pl', looked)
end
if max ~= '' and fields.max ~= max then redis.call('HSET', s, 'max', max) end
set_count(s, boot, count, ttl)
return {'ok', fields.v, count, fields.j or '', looked}
