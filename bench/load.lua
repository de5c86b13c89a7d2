-- wrk script: requests BENCH_PATH with {i} replaced by a random agent number below BENCH_AGENTS; prints one RESULT line.
local path, agents, requests = os.getenv("BENCH_PATH"), tonumber(os.getenv("BENCH_AGENTS")), {}

function init()
  math.randomseed(os.time())
  for i = 0, agents - 1 do requests[i] = wrk.format("GET", (path:gsub("{i}", tostring(i)))) end
end

function request() return requests[math.random(0, agents - 1)] end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %d %d %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.timeout, e.status, summary.requests))
end
