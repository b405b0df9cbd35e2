-- Plain calls with the keys in turn; prints one line of JSON. Arguments: the body's file, then the keys.
function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  requests, turn = {}, 0
  for i = 2, #args do
    wrk.headers["content-type"], wrk.headers["authorization"] = "application/json", "Bearer " .. args[i]
    requests[#requests + 1] = wrk.format()
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\n{"answers": %d, "microseconds": %d, "faults": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
