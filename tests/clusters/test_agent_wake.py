"""The wake-up call: answered at once when orders change, by one poller for all who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Collection
from typing import Any

from clusters.services.wake import WaitingRoom


class Versions:
    """Stands where the database is, and counts how often and by whom it is asked."""

    def __init__(self, **_: Any) -> None:
        self.newest: dict[int, int] = {}
        self.asked: list[frozenset[int]] = []
        self.threads: set[int] = set()

    def __call__(self, pks: Collection[int]) -> dict[int, int]:
        self.asked.append(frozenset(pks))
        self.threads.add(threading.get_ident())
        return {pk: version for pk, version in self.newest.items() if pk in pks}


async def test_a_waiting_agent_is_woken_by_its_own_version_only() -> None:
    versions = Versions()
    versions.newest = {1: 3, 2: 8}
    room = WaitingRoom(versions)
    first, second = asyncio.create_task(room.wait(1, 3, 5)), asyncio.create_task(room.wait(2, 8, 5))
    await asyncio.sleep(0.3)
    assert not first.done()
    versions.newest[1] = 4
    began = time.monotonic()
    assert await first == 4
    assert time.monotonic() - began < 0.5
    assert not second.done()
    versions.newest[2] = 9
    assert await second == 9


async def test_many_waiting_agents_cost_one_query_a_time() -> None:
    versions = Versions()
    versions.newest = dict.fromkeys(range(50), 1)
    room = WaitingRoom(versions)
    waiting = [asyncio.create_task(room.wait(host, 1, 0.9)) for host in range(50)]
    assert set(await asyncio.gather(*waiting)) == {1}
    assert len(versions.threads) == 1
    assert len(versions.asked) < 10
    assert versions.asked[-1] == frozenset(range(50))


async def test_an_agent_whose_host_was_forgotten_is_woken() -> None:
    assert await WaitingRoom(Versions()).wait(1, 3, 5) == 4


async def test_the_poller_ends_when_nobody_waits_and_comes_back() -> None:
    versions = Versions()
    versions.newest = {1: 2}
    room = WaitingRoom(versions)
    assert await room.wait(1, 1, 5) == 2
    await asyncio.sleep(2.6)
    assert room._thread is None
    assert await room.wait(1, 1, 5) == 2
