"""Counters in Redis: one script for each exchange, so that all gateway processes see one order of things."""

from __future__ import annotations

import json
from typing import cast

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .counting import LEASE_SECONDS, OLDEST_SLOT, SHARE_CALLS, TIGHT_SECONDS
from .messages import Answer, Refusal, Reply, Request, StoreAway

# The braces keep all keys on one node of a Redis cluster.
PREFIX = "portal:{limits}:"
ANSWER_SECONDS = 0.5
# `counting.exchange` in Lua. A counter is a hash: s:<second> slots, p:<process> "hold granted knows", total,
# month, seeded, tight.
SCRIPT = """
local request = cjson.decode(ARGV[1])
local process, lines = request.process, request.lines
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second + tonumber(clock[2]) / 1000000

local function text(number) return string.format('%.0f', number) end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
if request.is_leaving then
  redis.call('ZREM', KEYS[1], process)
elseif process ~= '' then
  redis.call('ZADD', KEYS[1], string.format('%.6f', now + request.lease), process)
end
local alive, processes = {}, 0
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  alive[name] = true
  processes = processes + 1
end
processes = math.max(processes, 1)

local function read(key)
  local record = {slots = {}, total = 0, month = 0, seeded = false, tight = 0, holds = 0, granted = 0, unsure = 0, lost = 0,
    gone = {}}
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local sort, rest = string.sub(field, 1, 2), string.sub(field, 3)
    if sort == 's:' then
      if tonumber(rest) >= second - request.oldest then record.slots[tonumber(rest)] = tonumber(value)
      else record.gone[#record.gone + 1] = field end
    elseif sort == 'p:' then
      local hold, granted, knows = string.match(value, '^(%d+) (%d+) (%d)$')
      if not alive[rest] then
        record.gone[#record.gone + 1] = field
        if rest ~= process then record.lost = record.lost + tonumber(granted) end
      elseif rest ~= process then
        record.holds = record.holds + tonumber(hold)
        record.granted = record.granted + tonumber(granted)
        if knows == '0' then record.unsure = record.unsure + tonumber(granted) end
      end
    elseif field == 'seeded' then record.seeded = true
    else record[field] = tonumber(value) end
  end
  return record
end

local function book(key, record, line)
  if line.kind == 'minute' and record.lost > 0 then
    record.slots[second] = (record.slots[second] or 0) + record.lost
    redis.call('HSET', key, 's:' .. text(second), text(record.slots[second]))
  end
  if line.month > record.month then
    record.month, record.total, record.seeded = line.month, 0, false
    redis.call('HSET', key, 'month', text(line.month), 'total', '0')
    redis.call('HDEL', key, 'seeded')
  end
  for _, spend in ipairs(line.spends) do
    if line.kind == 'month' and line.month == record.month then
      record.total = record.total + spend[2]
      redis.call('HSET', key, 'total', text(record.total))
    elseif line.kind == 'minute' and spend[1] <= request.oldest then
      local slot = second - spend[1]
      record.slots[slot] = (record.slots[slot] or 0) + spend[2]
      redis.call('HSET', key, 's:' .. text(slot), text(record.slots[slot]))
    end
  end
  if line.seed >= 0 and line.month == record.month then
    record.total, record.seeded = math.max(record.total, line.seed), true
    redis.call('HSET', key, 'total', text(record.total), 'seeded', '1')
  end
end

local function wait(slots, lack)
  local found = {}
  for slot in pairs(slots) do found[#found + 1] = slot end
  table.sort(found)
  for _, slot in ipairs(found) do
    lack = lack - slots[slot]
    if lack <= 0 then return math.max(slot + request.oldest + 1 - second, 1) end
  end
  return 1
end

local sheets = {}
for i, line in ipairs(lines) do
  local key = KEYS[i + 1]
  local record = read(key)
  if #record.gone > 0 then redis.call('HDEL', key, unpack(record.gone)) end
  book(key, record, line)
  local used = record.total + record.holds + line.hold
  for _, amount in pairs(record.slots) do used = used + amount end
  local idle = record.granted - record.holds + line.keep
  sheets[i] = {key = key, line = line, record = record, used = used, unsure = record.unsure + line.keep, admitted = 0,
    free = line.limit - used - idle, open = line.kind ~= 'month' or record.seeded}
end

local reply = {processes}
for _, ask in ipairs(request.asks) do
  local lacking = nil
  for _, one in ipairs(ask) do
    local sheet = sheets[one[1] + 1]
    if not sheet.open or one[2] > sheet.free then
      lacking = one
      break
    end
  end
  if lacking then
    local sheet = sheets[lacking[1] + 1]
    if sheet.open then
      sheet.record.tight = now + request.tight
      redis.call('HSET', sheet.key, 'tight', string.format('%.6f', sheet.record.tight))
    end
    reply[#reply + 1] = lacking[1]
    reply[#reply + 1] = sheet.unsure
    reply[#reply + 1] = wait(sheet.record.slots, lacking[2] - sheet.free)
  else
    for _, one in ipairs(ask) do
      local sheet = sheets[one[1] + 1]
      sheet.free, sheet.used = sheet.free - one[2], sheet.used + one[2]
      sheet.admitted = sheet.admitted + one[2]
    end
    reply[#reply + 1] = -1
    reply[#reply + 1] = 0
    reply[#reply + 1] = 0
  end
end

for _, sheet in ipairs(sheets) do
  local line = sheet.line
  local tight = sheet.record.tight > now
  local share = math.floor(math.max(sheet.free + line.keep, 0) / (2 * processes))
  if tight or not sheet.open or line.size == 0 or share < request.calls * line.size then share = 0 end
  local hold = line.hold + sheet.admitted
  local granted = hold + math.max(share, line.keep)
  if granted > 0 and process ~= '' then
    redis.call('HSET', sheet.key, 'p:' .. process, text(hold) .. ' ' .. text(granted) .. (granted == hold and ' 1' or ' 0'))
  else
    redis.call('HDEL', sheet.key, 'p:' .. process)
  end
  redis.call('EXPIRE', sheet.key, line.kind == 'month' and 3000000 or 120)
  reply[#reply + 1] = granted
  reply[#reply + 1] = sheet.used
  reply[#reply + 1] = (tight or granted == hold) and 1 or 0
  reply[#reply + 1] = sheet.open and 1 or 0
end
return reply
"""


class RedisStore:
    """Raises StoreAway from `exchange` when Redis does not answer within half a second."""

    def __init__(self, url: str, *, prefix: str = PREFIX, lease_seconds: float = LEASE_SECONDS) -> None:
        # No second try by the client: what a lost answer had booked would be booked twice, and calls are waiting.
        self._redis = Redis.from_url(url, socket_connect_timeout=ANSWER_SECONDS, socket_timeout=ANSWER_SECONDS,
                                     retry=Retry(NoBackoff(), 0))
        self._script = self._redis.register_script(SCRIPT)
        self._prefix = prefix
        self._lease_seconds = lease_seconds

    def exchange(self, request: Request) -> Reply:
        keys = [f"{self._prefix}processes", *(self._prefix + line.name for line in request.lines)]
        try:
            numbers = cast("list[int]", self._script(keys=keys, args=[self._written(request)]))
        except (RedisError, OSError) as error:
            raise StoreAway(type(error).__name__) from error
        return _reply(request, numbers)

    def close(self) -> None:
        self._redis.close()

    def _written(self, request: Request) -> str:
        lines = [{"kind": line.kind, "limit": line.limit, "hold": line.hold, "keep": line.keep, "size": line.size,
                  "spends": line.spends, "month": line.month, "seed": -1 if line.seed is None else line.seed}
                 for line in request.lines]
        return json.dumps({
            "process": request.process, "lines": lines, "asks": request.asks, "is_leaving": request.is_leaving,
            "lease": self._lease_seconds, "oldest": OLDEST_SLOT, "tight": TIGHT_SECONDS, "calls": SHARE_CALLS})


def _reply(request: Request, numbers: list[int]) -> Reply:
    found = iter(numbers)
    processes = next(found)
    refusals = [Refusal(line, unsure, wait) if line >= 0 else None
                for line, unsure, wait in ((next(found), next(found), next(found)) for _ in request.asks)]
    answers = [Answer(next(found), next(found), bool(next(found)), bool(next(found))) for _ in request.lines]
    return Reply(processes, answers, refusals)
