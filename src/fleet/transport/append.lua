#!lua flags=allow-oom
-- One record more. KEYS: the log. ARGV: an id to exceed, a random number, the record, how many records to keep,
-- how many bytes to keep. Returns the id, which is made exactly as PurgeId::appended makes it.
local log = KEYS[1]
local last = '0-0'
local info = redis.pcall('XINFO', 'STREAM', log)
if info.err then
  if not string.find(info.err, 'no such key', 1, true) then
    return info
  end
else
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    end
  end
end
local function ms(id)
  return tonumber(string.match(id, '^%d+'))
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local at = math.min(math.max(now, math.max(ms(last), ms(ARGV[1])) + 1), 4398046511103)
local id = string.format('%.0f-%.0f', at, ARGV[2] % 4194304)
redis.call('XADD', log, 'MAXLEN', '~', ARGV[4], id, 'prev', last, 'r', ARGV[3])
-- Records differ in length by four orders of magnitude, so their number alone bounds nothing.
local used = redis.pcall('MEMORY', 'USAGE', log)
if type(used) == 'number' and used > tonumber(ARGV[5]) then
  redis.call('XTRIM', log, 'MAXLEN', math.floor(redis.call('XLEN', log) / 2))
end
return id
