"""What was used: totals in memory, the last use of keys written now and then, one log line for each request."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from .call import Call
from .loader import DatabaseAway, mark_used
from .metrics import COMPLETION_TOKENS, DURATION, FIRST_BYTE, PROMPT_TOKENS, REQUESTS

log = logging.getLogger(__name__)
LINES_AT_ONCE = 200


@dataclass(slots=True)
class Totals:
    requests: int = 0
    errors: int = 0
    partial: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Line(msgspec.Struct, omit_defaults=True):
    """A log line, with the names that the portal's other JSON lines have. Never bodies, keys or addresses."""

    timestamp: str
    level: str
    logger: str
    event: str
    request_id: str
    route: str
    status: int
    seconds: float
    first_byte: float = 0.0
    key: str = ""
    workspace: int = 0
    endpoint: int = 0
    stream: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    partial: bool = False
    error: str = ""


@dataclass
class Book:
    """Totals by (workspace, key, endpoint) since the start of this process."""

    flush_seconds: float
    totals: dict[tuple[int, int, int], Totals] = field(default_factory=dict)
    _used: set[int] = field(default_factory=set)
    _lines: list[bytes] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "gateway-book"))
    _series: dict[tuple[str, int], _Series] = field(default_factory=dict)
    _flushed_at: float = 0.0
    _flushing: asyncio.Future[None] | None = None

    def note(self, call: Call, now: float) -> None:
        """Book a finished call: counters, totals, log line. Takes some microseconds and does no I/O."""
        seconds = now - call.started
        series = self._series_of(call.route, call.status // 100)
        series.requests.inc()
        series.duration.observe(seconds)
        if call.first_byte:
            series.first_byte.observe(call.first_byte)
        if call.key is not None:
            self._used.add(call.key.id)
        if call.key is not None and call.target is not None:
            self._add(call, call.key.id, call.target.endpoint_id, call.key.workspace_id)
        if log.isEnabledFor(logging.INFO):
            self._lines.append(_line(call, seconds))
            if len(self._lines) >= LINES_AT_ONCE:
                self.write_lines()

    def write_lines(self) -> None:
        if self._lines:
            sys.stderr.write(b"".join(self._lines).decode())
            sys.stderr.flush()
            self._lines.clear()

    def tick(self, now: float) -> None:
        """Once a second: write the log, and start a flush when it is time."""
        self.write_lines()
        is_due = now - self._flushed_at >= self.flush_seconds and (self._flushing is None or self._flushing.done())
        if is_due and self._used:
            self._flushed_at = now
            self._flushing = asyncio.ensure_future(self.flush())

    async def flush(self) -> None:
        """Write the last use of keys in one statement; what fails stays for the next time."""
        ids, self._used = self._used, set()
        if not ids:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, mark_used, ids)
        except DatabaseAway as error:
            self._used |= ids
            log.warning("last use of keys not written", extra={"error": str(error)})

    async def close(self) -> None:
        await self.flush()
        self.write_lines()
        self._thread.shutdown(wait=False)

    def _add(self, call: Call, key_id: int, endpoint_id: int, workspace_id: int) -> None:
        totals = self.totals.setdefault((workspace_id, key_id, endpoint_id), Totals())
        totals.requests += 1
        totals.errors += bool(call.error) or call.status >= 400
        totals.partial += call.usage.is_partial
        totals.prompt_tokens += call.usage.prompt_tokens
        totals.completion_tokens += call.usage.completion_tokens
        PROMPT_TOKENS.inc(call.usage.prompt_tokens)
        COMPLETION_TOKENS.inc(call.usage.completion_tokens)

    def _series_of(self, route: str, status: int) -> _Series:
        series = self._series.get((route, status))
        if series is None:
            series = self._series[route, status] = _Series(route, status)
        return series


class _Series:
    """The label lookups of prometheus_client, done once."""

    __slots__ = ("duration", "first_byte", "requests")

    def __init__(self, route: str, status: int) -> None:
        self.requests = REQUESTS.labels(route, f"{status}xx")
        self.duration = DURATION.labels(route)
        self.first_byte = FIRST_BYTE.labels(route)


def _line(call: Call, seconds: float) -> bytes:
    line = Line(
        timestamp=datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z"), level="info",
        logger=__name__, event="request", request_id=call.request_id.decode(), route=call.route, status=call.status,
        seconds=round(seconds, 6), first_byte=round(call.first_byte, 6), stream=call.is_stream, error=call.error,
        prompt_tokens=call.usage.prompt_tokens, completion_tokens=call.usage.completion_tokens,
        partial=call.usage.is_partial)
    if call.key is not None:
        line.key, line.workspace = call.key.public_id, call.key.workspace_id
    if call.target is not None:
        line.endpoint = call.target.endpoint_id
    return msgspec.json.encode(line) + b"\n"
