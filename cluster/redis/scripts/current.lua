-- current.lua - the check of every script that writes for a node. What a node
-- sent on a connection that it has given up since can be executed after what it
-- sent on the next one; a beat of the next one says that it must not count.

-- The generation as text; nil and the reply: an error, or {'nogen'}: there is
-- none, or this is a late command, or the boot is gone.
local function current(gen, boot, connection)
  local row = redis.pcall('HMGET', gen, 'n', 'k:' .. boot)
  if row.err then return nil, row end
  if row[1] and row[2] == connection then return row[1] end
  return nil, {'nogen'}
end
