"""Gateway processes that are killed again and again under load, and what callers, engines and the books say of it.

Three keys call: one without limits (plain and streamed), one with so many requests a minute, one with so many at once.
A process is stopped before it is killed, so that its connections are known: those calls may be cut, and no others.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.db.models import Sum

from endpoints.models import UsageHour
from portal.tenancy.models import ApiKey, Limit
from tests.gateway.outlive.parent import Parent
from tests.gateway.server import Tenant, make_tenant
from tests.simulators.openai_backend import USAGE, OpenAIBackend

TOKENS = USAGE["prompt_tokens"] + USAGE["completion_tokens"]
WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one key does: callers at once, how long an engine takes, whether every second call is a stream, its limits."""

    name: str
    callers: int
    delay: float
    streams: bool = False
    a_minute: int | None = None
    at_once: int | None = None


@dataclass(slots=True)
class Call:
    port: int
    began: float
    ended: float = 0.0
    status: int = 0
    is_whole: bool = False


@dataclass(slots=True)
class Told:
    """How the calls of one load ended, and what is wrong with it; every field of the second line must be 0."""

    calls: int
    finished: int
    cut: int
    refused: int
    booked: int
    unexplained: int
    lost_tokens: int
    booked_twice: int
    overshoot: int

    @property
    def faults(self) -> int:
        return self.unexplained + self.lost_tokens + self.booked_twice + self.overshoot


@dataclass(slots=True)
class Chaos:
    """A tenant with one key and one engine a load, and gateway processes over one database and one Redis."""

    parents: Sequence[Parent]
    loads: Sequence[Load]
    engines: dict[str, OpenAIBackend]
    keys: dict[str, str]
    calls: dict[str, list[Call]]
    killed: list[tuple[float, frozenset[int]]] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, every: float) -> None:
        """Load for so long, and kill a process every so often."""
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=lambda: asyncio.run(self._load(until))),
                   threading.Thread(target=self._kill, args=(until, every)),
                   threading.Thread(target=self._watch, args=(until,))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def _load(self, until: float) -> None:
        await asyncio.gather(*(self._call_on(load, number, until) for load in self.loads for number in range(load.callers)))

    async def _call_on(self, load: Load, number: int, until: float) -> None:
        turn = number
        while time.monotonic() < until:
            turn += 1
            call = await _call(self.parents[turn % len(self.parents)].port, self.keys[load.name], load,
                               is_stream=load.streams and turn % 2 == 0)
            self.calls[load.name].append(call)
            if call.status == 429:
                await asyncio.sleep(0.05)

    def _kill(self, until: float, every: float) -> None:
        chance = random.Random(7)  # the same order each time
        while time.monotonic() + every < until:
            time.sleep(every)
            busy = [pid for parent in self.parents for pid in sorted(parent.pids) if _callers(pid, parent)]
            if busy:
                pid = chance.choice(busy)
                os.kill(pid, signal.SIGSTOP)
                ports = frozenset().union(*(_callers(pid, parent) for parent in self.parents))
                os.kill(pid, signal.SIGKILL)
                self.killed.append((time.monotonic(), ports))

    def _watch(self, until: float) -> None:
        while time.monotonic() < until:
            for name, engine in self.engines.items():
                self.most_at_once[name] = max(self.most_at_once[name], engine.open_requests)
            time.sleep(0.05)

    def is_booked(self) -> bool:
        """Whether everything that was finished is in the database, and each spool empty."""
        return (all(self._booked(load)[0] >= len(self._finished(load)) for load in self.loads)
                and all(parent.figure("portal_gateway_spool_records") == 0 for parent in self.parents))

    def told(self, load: Load) -> Told:
        """Raises AssertionError where the database can't be read."""
        calls, finished = self.calls[load.name], self._finished(load)
        refused = sum(1 for call in calls if call.status == 429)
        broken = [call for call in calls if not call.is_whole or call.status not in (200, 429)]
        cut = [call for call in broken if self._was_killed(call)]
        requests, tokens = self._booked(load)
        return Told(
            calls=len(calls), finished=len(finished), cut=len(cut), refused=refused, booked=requests,
            unexplained=len(broken) - len(cut), lost_tokens=max(0, len(finished) * TOKENS - tokens),
            booked_twice=max(0, requests - len(finished) - len(cut)), overshoot=self._overshoot(load))

    def _finished(self, load: Load) -> list[Call]:
        return [call for call in self.calls[load.name] if call.status == 200 and call.is_whole]

    def _was_killed(self, call: Call) -> bool:
        return any(call.began <= at <= call.ended + 1 and call.port in ports for at, ports in self.killed)

    def _booked(self, load: Load) -> tuple[int, int]:
        """Calls that were not refused, and their tokens."""
        rows = UsageHour.objects.filter(key_id=_row(self.keys[load.name]).pk)
        sums = rows.aggregate(all=Sum("requests"), into=Sum("prompt_tokens"), out=Sum("completion_tokens"))
        return sums["all"] or 0, (sums["into"] or 0) + (sums["out"] or 0)

    def _overshoot(self, load: Load) -> int:
        """Calls that reached the engine beyond the limit: in the worst 60 seconds, or in the worst moment."""
        if load.at_once is not None:
            return max(0, self.most_at_once[load.name] - load.at_once)
        if load.a_minute is None:
            return 0
        times = sorted(seen.at for seen in self.engines[load.name].requests)
        first = most = 0
        for last, at in enumerate(times):
            while at - times[first] > WINDOW_SECONDS:
                first += 1
            most = max(most, last + 1 - first)
        return max(0, most - load.a_minute)


def _callers(pid: int, parent: Parent) -> frozenset[int]:
    """The ports of callers that a process of this parent has taken."""
    return frozenset(one.raddr.port for one in psutil.Process(pid).net_connections("tcp")
                     if one.raddr and one.laddr.port == parent.port)


async def _call(port: int, key: str, load: Load, *, is_stream: bool) -> Call:
    """One call on a connection of its own. Whether it is whole is read from its own bytes."""
    body = json.dumps({"model": load.name, "messages": [], "stream": is_stream}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    call = Call(int(writer.get_extra_info("sockname")[1]), time.monotonic())
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n")
    answer = b""
    try:
        writer.write(head.encode() + body)
        while part := await reader.read(65536):
            answer += part
    except ConnectionError:
        pass  # what came until then is looked at
    finally:
        writer.close()
    call.ended = time.monotonic()
    call.status = int(answer[9:12] or 0)
    call.is_whole = _is_whole(*answer.split(b"\r\n\r\n", 1)) if b"\r\n\r\n" in answer else False
    return call


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"event-stream" in head:
        return b"data: [DONE]" in body and body.endswith(b"\r\n0\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(lengths) and len(body) == int(lengths[0])


@contextmanager
def chaos(parents: Sequence[Parent], loads: Sequence[Load]) -> Iterator[Chaos]:
    """Rows for these loads in the database that is open here, their engines, and the gateways, all answering."""
    tenant = make_tenant(parents[0], "chaos")
    with ExitStack() as stack:
        engines = {load.name: stack.enter_context(OpenAIBackend()) for load in loads}
        keys = {load.name: _prepare(tenant, load, engines[load.name]) for load in loads}
        for parent in parents:
            parent.start()
            stack.callback(_end, parent)
        for parent in parents:
            parent.wait()
        yield Chaos(parents, loads, engines, keys, {load.name: [] for load in loads})


def _prepare(tenant: Tenant, load: Load, engine: OpenAIBackend) -> str:
    engine.script.delay = load.delay
    tenant.endpoint(load.name, engine.url)
    key = tenant.key()
    if load.a_minute is not None or load.at_once is not None:
        Limit(workspace=tenant.workspace, kind="key", key=_row(key),
              requests_per_minute=load.a_minute, concurrent_requests=load.at_once).save()
    return key


def _row(key: str) -> ApiKey:
    return ApiKey.objects.get(public_id=key.split("-")[1])


def _end(parent: Parent) -> None:
    if parent.process is not None and parent.process.poll() is None:
        parent.stop()


def machines(folder: Path, count: int, workers: int, **values: str) -> list[Parent]:
    """Parents that share nothing but a database and a Redis, each with a data folder of its own."""
    made = []
    for number in range(count):
        own = folder / f"machine-{number}"
        own.mkdir()
        made.append(Parent(own, database_url=values["DATABASE_URL"], workers=workers, environment=values))
    return made
