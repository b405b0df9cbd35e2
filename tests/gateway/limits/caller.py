"""Gateway processes that only reserve and settle: real processes, forked from one server so that they start quickly."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.db import connections  # noqa: E402 - needs the set-up
from django.db.utils import load_backend  # noqa: E402

from endpoints.gateway.limits import Ask, Reservation, SharedLimits, Usage  # noqa: E402
from endpoints.gateway.limits.counting import LEASE_SECONDS  # noqa: E402
from endpoints.gateway.limits.messages import Store  # noqa: E402
from endpoints.gateway.limits.redis_store import RedisStore  # noqa: E402
from endpoints.gateway.limits.refusal import LimitReached  # noqa: E402
from endpoints.gateway.limits.sql_store import SqlStore  # noqa: E402
from endpoints.gateway.snapshot import Key, Price, Route, Rule, Snapshot  # noqa: E402

KEY = Key(1, "p1", "d", 1, 7, True, frozenset(), None)
ROUTE = Route(0, 1, "m", 0, ())
CONTEXT = multiprocessing.get_context("forkserver")


def ask(*, key: Key = KEY, new: int = 0, body_bytes: int = 0, price: Price | None = None) -> Ask:
    """A call of one token at least, since no prompt is empty."""
    return Ask(key, ROUTE, body_bytes, new, price)


def snapshot(*rules: Rule) -> Snapshot:
    return Snapshot(rules={1: rules})


@dataclass(frozen=True)
class Where:
    """The store of a test: an address of Redis, or the settings of a database connection."""

    redis: str = ""
    database: dict[str, Any] = field(default_factory=dict)
    lease_seconds: float = LEASE_SECONDS

    def store(self) -> Store:
        return RedisStore(self.redis, lease_seconds=self.lease_seconds) if self.redis else SqlOfTest(self.database)


class SqlOfTest(SqlStore):
    """In the thread that asks it the connection is the test's, not the installation's."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self._settings = settings

    def exchange(self, request: Any) -> Any:
        if connections["default"].settings_dict is not self._settings:
            connections["default"] = load_backend(self._settings["ENGINE"]).DatabaseWrapper(self._settings, "default")
        return super().exchange(request)


def run(pipe: Connection, where: Where, rule: Rule) -> None:
    asyncio.run(_obey(pipe, where, rule))


async def _obey(pipe: Connection, where: Where, rule: Rule) -> None:
    limits = SharedLimits(where.store(), lambda _rule, _first: (0, 0))
    limits.follow(snapshot(rule))
    await limits.start()
    held: list[Reservation] = []
    pipe.send("ready")
    while (words := await asyncio.to_thread(pipe.recv))[0] != "end":
        if words[0] == "call":
            answers = await asyncio.gather(*[limits.reserve(ask(new=words[2])) for _ in range(words[1])],
                                           return_exceptions=True)
            refused = [answer for answer in answers if isinstance(answer, BaseException)]
            assert all(isinstance(answer, LimitReached) for answer in refused), refused
            held += [answer for answer in answers if not isinstance(answer, BaseException)]
            pipe.send(len(answers) - len(refused))
        else:
            for place in held:
                place.settle(Usage(0, words[1]))
            held.clear()
            if limits._flight is not None:
                await limits._flight  # tells the store
            pipe.send("settled")
    await limits.stop()
    pipe.send("ended")


class Crowd:
    """Some processes with a limit that they share."""

    def __init__(self, where: Where, rule: Rule, processes: int) -> None:
        CONTEXT.set_forkserver_preload(["tests.gateway.limits.caller"])
        self.members = []
        for _ in range(processes):
            ours, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=run, args=(theirs, where, rule), daemon=True)
            process.start()
            theirs.close()
            self.members.append((process, ours))
        for _, pipe in self.members:
            assert pipe.recv() == "ready"

    def call(self, times: int, new: int = 0) -> list[int]:
        """Let each process make so many calls at once; how many of each were admitted."""
        return self._tell("call", times, new)

    def settle(self, used: int = 0) -> None:
        self._tell("settle", used)

    def kill(self, number: int) -> None:
        process, pipe = self.members.pop(number)
        process.kill()
        process.join()
        pipe.close()

    def end(self) -> None:
        for process, pipe in self.members:
            if process.is_alive():
                pipe.send(("end",))
        for process, pipe in self.members:
            process.join(15)
            process.kill()
            process.join()
            pipe.close()

    def _tell(self, *words: Any) -> list[Any]:
        for _, pipe in self.members:
            pipe.send(words)
        return [pipe.recv() for _, pipe in self.members]


@contextmanager
def crowd(where: Where, processes: int, **quantities: Any) -> Iterator[Crowd]:
    made = Crowd(where, Rule(1, 1, **quantities), processes)
    try:
        yield made
    finally:
        made.end()
