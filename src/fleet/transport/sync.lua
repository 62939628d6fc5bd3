-- A heart-beat and a read, in one step. KEYS: the log, the nodes, this node's last numbered write. ARGV: position ('' = from the
-- first retained record), this node, its name, most records, most bytes, after how many ms a silent node is forgotten.
-- Returns the time in ms, the log's last id (nil if there is more to read), the records as {id, prev, record}, the nodes
-- as {node, beat, ...}, who made the list of nodes and when, the number.
local log, nodes = KEYS[1], KEYS[2]
local position, me = ARGV[1], ARGV[2]

-- In small portions: how long a record is shows only when it was read.
local portion = 16
local records, bytes, more = {}, 0, false
local from = position == '' and '-' or '(' .. position
while not more do
  local some = redis.call('XRANGE', log, from, '+', 'COUNT', portion)
  for _, entry in ipairs(some) do
    if #records >= tonumber(ARGV[4]) or bytes >= tonumber(ARGV[5]) then
      more = true
      break
    end
    local prev, record = '', ''
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'prev' then
        prev = entry[2][i + 1]
      elseif entry[2][i] == 'r' then
        record = entry[2][i + 1]
      end
    end
    records[#records + 1] = {entry[1], prev, record}
    bytes = bytes + #record
  end
  if #some < portion then
    break
  end
  from = '(' .. some[portion][1]
end

-- XINFO copies the first and the last record as well, so it is asked only when nothing else tells where the log ends.
local tail, broken = false, nil
if not more and #records > 0 then
  tail = records[#records][1]
elseif not more then
  tail, broken = last_id(log)
  if broken then
    return broken
  end
end

-- A position that is not on this branch of the log says nothing about what is: receipts would take it for more.
local applied = '0-0'
if (#records > 0 and records[1][2] == position) or (#records == 0 and tail == position) then
  applied = position
end
-- A list that was lost is another one.
redis.call('HSETNX', nodes, 'since', string.format('%.0f %s', now, me))
local before = redis.call('HGET', nodes, me)
if not (before and string.find(before, '^%d+ bye ')) then
  redis.call('HSET', nodes, me, string.format('%.0f %s %s', now, applied, ARGV[3]))
end
local all = redis.call('HGETALL', nodes)
local live, since = {}, ''
for i = 1, #all, 2 do
  local at = tonumber(string.match(all[i + 1], '^%d+'))
  if all[i] == 'since' then
    since = all[i + 1]
  elseif at and now - at <= tonumber(ARGV[6]) then
    live[#live + 1] = all[i]
    live[#live + 1] = all[i + 1]
  else
    redis.call('HDEL', nodes, all[i])
  end
end
return {string.format('%.0f', now), tail, records, live, since, redis.call('GET', KEYS[3])}
