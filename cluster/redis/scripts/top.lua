-- top.lua - the last entries of logs: id, boot, seq each, empty texts where
-- there is no log, or something that is none (reading that one says what).
local function top(out, l)
  local entries = redis.pcall('XREVRANGE', l, '+', '-', 'COUNT', 1)
  local entry = not entries.err and entries[1]
  if not entry then
    entry = {'', {'b', '', 's', ''}}
  end
  local boot, seq = entry[2][2], entry[2][4]
  out[#out + 1] = entry[1]
  out[#out + 1] = boot
  out[#out + 1] = boot == '' and '' or seq or ''
end
