-- wrk script: requests BENCH_PATH with {i} replaced by a random agent number below BENCH_AGENTS, or by a new one each time, from BENCH_FROM on;
-- prints one RESULT line.
local path, agents, from, requests = os.getenv("BENCH_PATH"), tonumber(os.getenv("BENCH_AGENTS")), tonumber(os.getenv("BENCH_FROM")), {}

local function ask(number) return wrk.format("GET", (path:gsub("{i}", tostring(number)))) end

function init()
  math.randomseed(os.time())
  if not from then for i = 0, agents - 1 do requests[i] = ask(i) end end
end

function request()
  if not from then return requests[math.random(0, agents - 1)] end
  from = from + 1
  return ask(from)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %.1f %.3f %.3f %d %d %d\n", summary.requests / (summary.duration / 1e6),
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.timeout, e.status, summary.requests))
end
