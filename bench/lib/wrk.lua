-- For wrk: prints one line of figures at the end; with two files, asks for many paths instead of that of the URL.
-- Usage: wrk -s wrk.lua URL [-- PATHS DRAWS]
--   PATHS: one path per line. DRAWS: one line number of PATHS per line, counted from 1, asked for in this order, over and over.

local requests, draws, at = {}, {}, 0

function init(args)
  -- The headers of -H are known now, and only now.
  if not args[1] then return end
  for path in io.lines(args[1]) do requests[#requests + 1] = path end
  for draw in io.lines(args[2]) do draws[#draws + 1] = tonumber(draw) end
  for n, path in ipairs(requests) do requests[n] = wrk.format("GET", path) end
  request = function()
    at = at % #draws + 1
    return requests[draws[at]]
  end
end

-- requests, duration in µs, errors of any kind, median and 99th percentile of the latency in µs
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
