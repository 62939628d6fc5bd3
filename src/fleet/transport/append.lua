-- Records more, in this order. KEYS: the log. ARGV: an id to exceed, how many records to keep, how many bytes to keep, then for each
-- record a random number and what it says. Returns the last id. Ids are made exactly as PurgeId::appended makes them.
local log = KEYS[1]
local last, broken = last_id(log)
if broken then
  return broken
end
local function ms(id)
  return tonumber(string.match(id, '^%d+'))
end
for i = 4, #ARGV, 2 do
  local at = math.min(math.max(now, math.max(ms(last), ms(ARGV[1])) + 1), 4398046511103)
  local id = string.format('%.0f-%.0f', at, ARGV[i] % 4194304)
  redis.call('XADD', log, 'MAXLEN', '~', ARGV[2], id, 'prev', last, 'r', ARGV[i + 1])
  last = id
end
-- Records differ in length by four orders of magnitude, so their number alone bounds nothing.
local used = redis.pcall('MEMORY', 'USAGE', log)
if type(used) == 'number' and used > tonumber(ARGV[3]) then
  redis.call('XTRIM', log, 'MAXLEN', math.floor(redis.call('XLEN', log) / 2))
end
return last
