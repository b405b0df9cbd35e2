"""Redis goes away and comes back: every process goes on with its part of each limit, and tells what it has used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from endpoints.gateway.limits import SharedLimits, Usage
from endpoints.gateway.limits.messages import Line, Request
from endpoints.gateway.limits.redis_store import RedisStore
from endpoints.gateway.limits.refusal import LimitReached
from endpoints.gateway.limits.steady import SteadyStore
from endpoints.gateway.snapshot import Rule
from tests.faults.processes import redis_at, redis_says
from tests.gateway.limits.caller import ask, snapshot
from tests.rig.servers import free_port

RULE = Rule(1, 1, requests_per_minute=20, concurrent_requests=100, tokens_per_month=10**6)


def test_without_redis_each_process_has_its_part_and_with_it_all_is_known_again(tmp_path: Path) -> None:
    asyncio.run(_live_through_an_outage(tmp_path, free_port()))


async def _live_through_an_outage(folder: Path, port: int) -> None:
    async with AsyncExitStack() as stack:
        with redis_at(folder, port):
            both = [await stack.enter_async_context(member(port)) for _ in range(2)]
            for one in both:
                await call(one)
            await ticks(both, 2)  # the second time each knows of the other
        assert [await calls(one) for one in both] == [9, 9]  # half of 20 each, and half of the 2 that were used
        assert is_away() == 1
        with ExitStack() as again:
            again.enter_context(redis_at(folder, port))
            await come_back(both)
            assert is_away() == 0
            # What was used before is lost with that Redis; the 18 of the outage are not.
            assert sum([await calls(one) for one in both]) == 2


def test_a_redis_that_hangs_makes_one_question_wait_and_no_other(tmp_path: Path) -> None:
    port = free_port()
    with redis_at(tmp_path, port), closing(steady(port)) as store:
        one = Request("p", [Line("c", "level", 100)], [[(0, 1)]])
        assert store.exchange(one).refusals == [None]
        redis_says(port, "CLIENT", "PAUSE", "20000")
        took = [timed(lambda: store.exchange(one)) for _ in range(20)]
        assert took[0] > 0.4
        assert sum(took[1:]) < 0.4
        assert is_away() == 1


def test_a_month_goes_on_alone_with_its_part_of_what_was_used_or_with_what_is_booked(tmp_path: Path) -> None:
    with closing(steady(free_port())) as store:  # nobody is there
        unknown = store.exchange(Request("p", [Line("new", "month", 100, month=7)], [[(0, 1)]]))
        assert not unknown.answers[0].is_seeded
        assert store.exchange(Request("p", [Line("new", "month", 100, month=7, seed=99)], [[(0, 2)]])).refusals != [None]
    port = free_port()
    with closing(steady(port)) as store:
        with redis_at(tmp_path, port):
            for process in ("a", "b", "p"):
                store.exchange(Request(process, [Line("known", "month", 90, month=7, seed=60)]))
        assert store.exchange(Request("p", [Line("known", "month", 90, month=7)], [[(0, 10)]])).refusals == [None]
        assert store.exchange(Request("p", [Line("known", "month", 90, month=7, hold=10)], [[(0, 1)]])).refusals != [None]


def steady(port: int) -> SteadyStore:
    return SteadyStore(RedisStore(f"redis://127.0.0.1:{port}/0"))


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@asynccontextmanager
async def member(port: int) -> Any:
    limits = SharedLimits(RedisStore(f"redis://127.0.0.1:{port}/0"), lambda _rule, _first: (0, 0))
    limits.follow(snapshot(RULE))
    await limits.start()
    try:
        yield limits
    finally:
        await limits.stop()


async def call(limits: SharedLimits) -> None:
    (await limits.reserve(ask())).settle(Usage(1, 1))


async def calls(limits: SharedLimits) -> int:
    """How many calls there are until the limit is reached."""
    for number in range(100):
        try:
            await call(limits)
        except LimitReached:
            return number
    raise AssertionError("no limit")


def is_away() -> float | None:
    return REGISTRY.get_sample_value("portal_gateway_limits_store_away")


async def come_back(both: list[SharedLimits]) -> None:
    async with asyncio.timeout(15):
        while any(one._store._alone for one in both):
            await asyncio.sleep(0.1)
            await ticks(both, 1)


async def ticks(both: list[SharedLimits], times: int) -> None:
    for _ in range(times):
        for one in both:
            one.tick(asyncio.get_running_loop().time())
            assert one._flight is not None
            await one._flight
