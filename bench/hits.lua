-- For wrk: one GET over and over, bare or with what a browser sends, and one line of figures at the end.
-- Usage: wrk -s hits.lua URL -- plain|browser

local browser = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.7",
  ["Referer"] = "https://shop.example.com/products?page=3&sort=price",
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Sec-CH-UA"] = '"Chromium";v="131", "Not_A Brand";v="24"',
  ["Upgrade-Insecure-Requests"] = "1",
}

function init(args)
  if args[1] == "browser" then
    for name, value in pairs(browser) do wrk.headers[name] = value end
  elseif args[1] ~= "plain" then
    error("plain or browser?")
  end
end

-- requests, duration in µs, errors of any kind, median and 99th percentile of the latency in µs
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
