#!lua flags=allow-oom
-- Stands before each script that needs it (`scripts`).
-- The store's clock, Unix milliseconds.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- The last id that a stream has given, also when it was trimmed to nothing; or nil and the store's error.
local function last_id(log)
  local info = redis.pcall('XINFO', 'STREAM', log)
  if info.err then
    if string.find(info.err, 'no such key', 1, true) then
      return '0-0'
    end
    return nil, info
  end
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return info[i + 1]
    end
  end
  return '0-0'
end
