"""What one process does by itself: which limits apply, what a call reserves, what it has cost, what a refusal says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from endpoints.gateway.limits import Ask, Reservation, SharedLimits, Usage
from endpoints.gateway.limits.counters import Counter, applies
from endpoints.gateway.limits.estimate import cost
from endpoints.gateway.limits.memory import MemoryStore
from endpoints.gateway.limits.messages import Reply, Request
from endpoints.gateway.limits.refusal import LimitReached
from endpoints.gateway.loader import DatabaseAway
from endpoints.gateway.snapshot import Key, Price, Rule, Snapshot
from tests.gateway.limits.caller import KEY, ROUTE, ask, snapshot

PRICE = Price(prompt=2.0, completion=3.0, cached=0.5)
NOW = datetime(2026, 11, 30, 23, 59, 0, tzinfo=UTC).timestamp()
OTHER = Key(2, "p2", "d", 1, 8, True, frozenset(), None)


class Asked(MemoryStore):
    """Notes what it was asked."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.requests: list[Request] = []

    def exchange(self, request: Request) -> Reply:
        self.requests.append(request)
        return super().exchange(request)


def with_limits(work: Callable[[SharedLimits, Asked], Awaitable[None]], *rules: Rule,
                month_used: Any = lambda _rule, _first: (0, 0)) -> None:
    async def main() -> None:
        store = Asked()
        limits = SharedLimits(store, month_used, lambda: NOW)
        limits.follow(snapshot(*rules))
        await limits.start()
        try:
            await work(limits, store)
        finally:
            await limits.stop()

    asyncio.run(main())


@pytest.mark.parametrize(("rule", "fits"), [
    (Rule(1, 1), True), (Rule(1, 1, member_id=7), True), (Rule(1, 1, member_id=8), False),
    (Rule(1, 1, key_id=1), True), (Rule(1, 1, key_id=2), False),
    (Rule(1, 1, model_name="m"), True), (Rule(1, 1, model_name="M"), False),
])
def test_which_rules_apply_to_a_call(rule: Rule, fits: bool) -> None:
    assert applies(rule, KEY, "m") is fits


@pytest.mark.parametrize(("usage", "price", "micro"), [
    (Usage(10, 20), PRICE, 80), (Usage(10, 20, cached_tokens=4), PRICE, 74), (Usage(1, 0, cached_tokens=1), PRICE, 1),
    (Usage(10, 20), None, 0), (Usage(0, 0), PRICE, 0), (Usage(1, 0, cached_tokens=5), PRICE, 3),
])
def test_what_a_call_has_cost(usage: Usage, price: Price | None, micro: int) -> None:
    assert cost(usage, price) == micro


@pytest.mark.parametrize(("quantity", "body_bytes", "new", "reserved"), [
    ("tokens_per_minute", 400, 50, 151), ("tokens_per_minute", 400, None, 1125), ("tokens_per_month", 0, 0, 1),
    ("tokens_per_minute", 4_000_000, 50, 5000),  # never more than the whole limit
    ("money_per_month", 400, 50, 352), ("concurrent_requests", 400, 50, 1), ("requests_per_minute", 400, 50, 1),
])
def test_what_a_call_reserves(quantity: str, body_bytes: int, new: int | None, reserved: int) -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        place = await limits.reserve(ask(body_bytes=body_bytes, new=new, price=PRICE))  # type: ignore[arg-type]
        assert store.requests[-1].asks == [[(0, reserved)]]
        place.settle(Usage())

    with_limits(work, Rule(1, 1, **{quantity: 5000}))  # type: ignore[arg-type]


def test_every_limit_on_the_chain_applies_and_the_tightest_refuses() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        held = [await limits.reserve(ask()) for _ in range(2)]
        with pytest.raises(LimitReached) as refused:
            await limits.reserve(ask())
        assert refused.value.headers[1] == (
            b"x-limit-reached", b"kind=key; quantity=concurrent_requests; limit=2; used=2")
        held.append(await limits.reserve(ask(key=OTHER)))
        with pytest.raises(LimitReached) as refused:
            await limits.reserve(ask(key=OTHER))
        assert b"kind=workspace" in refused.value.headers[1][1]
        for place in held:
            place.settle(Usage())
        (await limits.reserve(ask())).settle(Usage())

    with_limits(work, Rule(1, 1, concurrent_requests=3), Rule(2, 1, key_id=1, concurrent_requests=2),
                Rule(3, 1, member_id=99, concurrent_requests=0), Rule(4, 1, model_name="other", concurrent_requests=0))


# docs/limits.md: the workspace may make 100 requests a minute, member 7 60, key 1 of that member 40, the model "m" 50.
EXAMPLE = (Rule(1, 1, requests_per_minute=100), Rule(2, 1, member_id=7, requests_per_minute=60),
           Rule(3, 1, key_id=1, requests_per_minute=40), Rule(4, 1, model_name="m", requests_per_minute=50))
BOBS_OTHER = Key(3, "p3", "d", 1, 7, True, frozenset(), None)


@pytest.mark.parametrize(("made", "refused_by"), [
    ([(KEY, "m", 39)], None),
    ([(KEY, "m", 40)], "key"),
    ([(KEY, "m", 10), (BOBS_OTHER, "x", 50)], "member"),
    ([(KEY, "m", 10), (OTHER, "m", 40)], "model"),
    ([(KEY, "m", 10), (OTHER, "x", 90)], "workspace"),
])
def test_the_examples_of_the_documentation(made: list[tuple[Key, str, int]], refused_by: str | None) -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        for key, model, times in made:
            for _ in range(times):
                (await limits.reserve(named(key, model))).settle(Usage())
        if refused_by is None:
            (await limits.reserve(named(KEY, "m"))).settle(Usage())
            return
        with pytest.raises(LimitReached) as refused:
            await limits.reserve(named(KEY, "m"))
        assert f"kind={refused_by};".encode() in refused.value.headers[1][1]

    with_limits(work, *EXAMPLE)


def named(key: Key, model: str) -> Ask:
    return Ask(key, replace(ROUTE, public_name=model), 0, 0)


def test_without_a_rule_for_the_key_nothing_is_counted_or_asked() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        place = limits.try_reserve(ask())
        assert place is not None
        assert place is limits.try_reserve(ask())  # always the same one
        assert store.requests == []

    with_limits(work, Rule(1, 1, key_id=2, concurrent_requests=0), Rule(2, 2, concurrent_requests=0))


def test_under_a_large_limit_only_the_first_call_asks() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        (await limits.reserve(ask())).settle(Usage(1, 1))
        asked = len(store.requests)
        for number in range(300):
            place = limits.try_reserve(ask())
            assert place is not None, number
            place.settle(Usage(3, 4))
        assert len(store.requests) == asked
        limits.tick(asyncio.get_running_loop().time())
        await told(limits)
        assert {line.name: sum(amount for _, amount in line.spends) for line in store.requests[-1].lines} == {
            "1:requests_per_minute": 300 + 1, "1:tokens_per_month": 2102, "1:concurrent_requests": 0}

    with_limits(work, Rule(1, 1, requests_per_minute=10**6, tokens_per_month=10**9, concurrent_requests=1000))


def test_a_call_that_failed_gives_its_tokens_back_and_keeps_its_request() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        for _ in range(3):
            (await limits.reserve(ask(new=99))).settle(Usage())
        with pytest.raises(LimitReached) as refused:
            await limits.reserve(ask(new=99))
        assert refused.value.param == "requests_per_minute"

    with_limits(work, Rule(1, 1, requests_per_minute=3, tokens_per_minute=100))


def test_a_caller_who_hangs_up_while_it_waits_holds_nothing() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        waiting = [asyncio.create_task(_reserve(limits)) for _ in range(4)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        assert all(isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True))
        for place in [await limits.reserve(ask()), await limits.reserve(ask())]:
            place.settle(Usage())

    with_limits(work, Rule(1, 1, concurrent_requests=2))


async def _reserve(limits: SharedLimits) -> Reservation:
    return await limits.reserve(ask())


def test_a_changed_limit_counts_at_once_and_calls_that_run_are_not_forgotten() -> None:
    async def work(limits: SharedLimits, store: Asked) -> None:
        held = [await limits.reserve(ask()) for _ in range(2)]
        limits.follow(snapshot(Rule(1, 1, concurrent_requests=1)))
        held.pop().settle(Usage())
        with pytest.raises(LimitReached):
            await limits.reserve(ask())
        limits.follow(Snapshot())
        assert limits.try_reserve(ask()) is not None
        held.pop().settle(Usage())

    with_limits(work, Rule(1, 1, concurrent_requests=2))


def test_a_month_begins_from_the_database_and_a_refusal_names_the_money() -> None:
    asked: list[datetime] = []

    def month_used(_rule: Rule, first: datetime) -> tuple[int, int]:
        asked.append(first)
        return 0, 1_999_990

    async def work(limits: SharedLimits, store: Asked) -> None:
        place = await limits.reserve(ask(new=2, price=PRICE))
        place.settle(Usage(1, 2))
        with pytest.raises(LimitReached) as refused:
            await limits.reserve(ask(new=2, price=PRICE))
        error = refused.value
        assert error.message == ("The limit of the workspace is reached: money a month, 2 of 2 used. Try again in 61 s.")
        assert (error.status, error.code, error.param) == (429, "insufficient_quota", "money_per_month")
        assert dict(error.headers)[b"retry-after"] == b"61"
        assert dict(error.headers)[b"x-should-retry"] == b"false"
        (await limits.reserve(ask(new=2))).settle(Usage(1, 2))  # without a price a call costs nothing

    with_limits(work, Rule(1, 1, money_per_month=2_000_000), month_used=month_used)
    assert asked == [datetime(2026, 11, 1, tzinfo=UTC)]


def test_without_the_database_a_month_begins_with_what_the_store_counts() -> None:
    def month_used(_rule: Rule, _first: datetime) -> tuple[int, int]:
        raise DatabaseAway("gone")

    async def work(limits: SharedLimits, store: Asked) -> None:
        (await limits.reserve(ask())).settle(Usage(10, 0))

    with_limits(work, Rule(1, 1, tokens_per_month=50), month_used=month_used)


def test_an_idle_counter_gives_its_share_back() -> None:
    counter = Counter(Rule(1, 1), "concurrent_requests", 100)
    counter.room, counter.size = 40, 1
    for _ in range(11):
        counter.age()
        assert counter.line(0).keep > 0
        counter.room = 40
    counter.age()
    line = counter.line(0)
    assert (line.keep, line.size) == (0, 0)


async def told(limits: SharedLimits) -> None:
    """The question that is on its way has its answer."""
    assert limits._flight is not None
    await limits._flight
