-- destroy.lua - the end of a session. Needs clock.lua, keep.lua, epoch.lua.

-- Log and tell that incarnation v of the session is gone, and leave a tombstone
-- in its place for a while: a CREATE of the same incarnation that is late, or
-- repeated by a node that has not heard of it, must not revive it. `n`: the
-- generation. `fields`: what is there. `notice`: channel, pen, seq, envelope (v
-- comes behind it), limit, age, expiry. Returns the reply; must be the last
-- thing that a script does.
local function destroy(s, fields, v, m, l, n, notice, word)
  local channel, pen, seq, envelope, limit, age, ttl = unpack(notice)
  local id, ms = append(m, l, n, pen, seq, envelope .. v, limit, age, ttl, true)
  if not id then return ms end
  redis.call('HSET', s, 'x', v)
  drop_fields(s, fields, {x = true})
  redis.call('PEXPIRE', s, 120000)
  publish_entry(channel, id, pen, seq, ms, envelope .. v)
  return {word, v}
end
