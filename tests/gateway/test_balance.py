"""Which replica takes a call, and when a failing one is left alone: the pure rules."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoints.gateway.balance import BOUND, FEW, PREFIX_CHARACTERS, State, choose, prefix_of, seed_of
from endpoints.gateway.health import (
    FAILURES_IN_A_ROW,
    FORGET_SECONDS,
    JITTER,
    LONGEST_SECONDS,
    RATE_CALLS,
    Health,
)


@dataclass
class Fake:
    """A replica as the rules see it."""

    name: str
    outstanding: int = 0
    condition: State = State.WELL
    back: float = 0.0

    @property
    def seed(self) -> bytes:
        return seed_of(self.name)

    @property
    def is_suspect(self) -> bool:
        return self.condition is not State.WELL

    def state(self, _now: float) -> State:
        return self.condition

    def back_at(self) -> float:
        return self.back


def fakes(*outstanding: int) -> list[Fake]:
    return [Fake(f"http://10.0.0.{number}:8000", count) for number, count in enumerate(outstanding)]


@pytest.mark.parametrize(("outstanding", "chosen"), [((3, 1, 2), 1), ((0, 1, 1), 0), ((5, 5, 4), 2)])
def test_the_least_busy_one_whatever_the_turn(outstanding: tuple[int, ...], chosen: int) -> None:
    replicas = fakes(*outstanding)
    assert {choose(replicas, 0.0, turn).name for turn in range(6)} == {replicas[chosen].name}


@pytest.mark.parametrize("busy", [0, 7])
def test_equals_take_turns(busy: int) -> None:
    replicas = fakes(busy, busy, busy)
    assert Counter(choose(replicas, 0.0, turn).name for turn in range(30)) == {one.name: 10 for one in replicas}


def test_calls_of_unequal_length_spread_by_what_is_open() -> None:
    """One replica is four times slower than the others: it gets fewer calls, and never more than its share of open ones."""
    replicas, ends, given_to = fakes(0, 0, 0, 0), list[tuple[int, Fake]](), Counter[str]()
    for now in range(4000):
        for end, one in [pair for pair in ends if pair[0] <= now]:
            one.outstanding -= 1
            ends.remove((end, one))
        one = choose(replicas, float(now), now)
        one.outstanding += 1
        given_to[one.name] += 1
        ends.append((now + (40 if one is replicas[0] else 10), one))
        assert max(each.outstanding for each in replicas) - min(each.outstanding for each in replicas) <= 2
    slow, *others = [given_to[one.name] for one in replicas]
    assert slow < min(others) / 2
    assert max(others) < 1.2 * min(others)


@pytest.mark.parametrize(("conditions", "chosen"), [
    ((State.FAILING, State.WELL, State.WELL), {1, 2}),
    ((State.REFUSING, State.FAILING, State.WELL), {2}),
    ((State.REFUSING, State.FAILING, State.FAILING), {1, 2}),
    ((State.REFUSING, State.REFUSING, State.REFUSING), {2}),  # the one that comes back first
])
def test_bad_ones_come_last_and_yet_before_no_answer(conditions: tuple[State, ...], chosen: set[int]) -> None:
    replicas = fakes(9, 9, 9)
    for number, (one, condition) in enumerate(zip(replicas, conditions, strict=True)):
        one.condition, one.back = condition, 10.0 - number
    for key in (b"", b"session"):
        found = {replicas.index(choose(replicas, 0.0, turn, key)) for turn in range(6)}
        assert found == chosen if not key else found <= chosen


def keys(count: int) -> list[bytes]:
    return [b"session-%d" % number for number in range(count)]


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_session_stays_and_sessions_spread(count: int) -> None:
    replicas = fakes(*[0] * count)
    where = {key: choose(replicas, 0.0, 0, key).name for key in keys(4000)}
    assert all(choose(list(reversed(replicas)), 9.0, 5, key).name == name for key, name in list(where.items())[:200])
    shares = Counter(where.values())
    assert all(abs(shares[one.name] - 4000 / count) < 5 * math.sqrt(4000 / count) for one in replicas)


def test_one_replica_less_moves_its_own_sessions_only_and_one_more_one_in_n() -> None:
    replicas = fakes(0, 0, 0, 0, 0)
    before = {key: choose(replicas, 0.0, 0, key) for key in keys(3000)}
    after = {key: choose(replicas[:-1], 0.0, 0, key) for key in before}
    assert all(after[key] is one for key, one in before.items() if one is not replicas[-1])
    moved = sum(after[key] is not before[key] for key in before)
    assert 450 < moved < 750


@given(st.lists(st.integers(0, 200), min_size=1, max_size=12), st.binary(min_size=1, max_size=40))
def test_no_key_makes_a_replica_busier_than_the_bound(outstanding: list[int], key: bytes) -> None:
    replicas = fakes(*outstanding)
    chosen = choose(replicas, 0.0, 0, key)
    assert chosen.outstanding + 1 <= math.ceil(BOUND * (sum(outstanding) + 1) / len(outstanding)) + FEW


def test_a_busy_replicas_session_goes_to_the_same_other_one() -> None:
    replicas = fakes(0, 0, 0)
    own = choose(replicas, 0.0, 0, b"s")
    own.outstanding = 50
    other = choose(replicas, 0.0, 0, b"s")
    assert other is not own
    assert all(choose(replicas, 0.0, turn, b"s") is other for turn in range(9))
    own.outstanding = 1
    assert choose(replicas, 0.0, 0, b"s") is own


SYSTEM = {"role": "system", "content": "You are a helper. " * 80}


def chat(*contents: object) -> dict[str, object]:
    return {"messages": [{"role": ("user", "assistant")[number % 2], "content": content}
                         for number, content in enumerate(contents)]}


@pytest.mark.parametrize(("one", "other", "same"), [
    (chat("hello"), chat("hello", "hi", "and now?"), True),  # later turns of a conversation
    (chat("hello"), chat("goodbye"), False),
    ({"messages": [SYSTEM, *chat("a")["messages"]]}, {"messages": [SYSTEM, *chat("b")["messages"]]}, True),  # type: ignore[misc]
    ({"prompt": "a" * PREFIX_CHARACTERS + "b"}, {"prompt": "a" * PREFIX_CHARACTERS + "c"}, True),
    ({"prompt": "ab"}, {"prompt": ["ab"]}, True),
    ({"input": "x"}, {"input": "y"}, False),
    ({"instructions": "be short", "input": "x"}, {"instructions": "be long", "input": "x"}, False),
    ({"system": "s", **chat("a")}, {"system": "t", **chat("a")}, False),  # Anthropic's place for it
    (chat([{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "a"}}]), chat("look"), True),
])
def test_what_begins_alike(one: dict[str, object], other: dict[str, object], *, same: bool) -> None:
    assert (prefix_of(one) == prefix_of(other)) is same


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": [None]}, {"prompt": [1, 2, 3]}, {"prompt": None},
                                  {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}])
def test_without_a_text_there_is_no_prefix(body: dict[str, object]) -> None:
    assert prefix_of(body) == b""


# Health


def outs(health: Health, now: float, times: int = FAILURES_IN_A_ROW) -> float:
    """How long it is left alone after so many failures."""
    for _ in range(times):
        health.failed(now)
    return health.out_until - now


def near(seconds: float, wanted: float) -> bool:
    return wanted * (1 - JITTER) <= seconds <= wanted * (1 + JITTER)


def test_failures_in_a_row_take_it_out_and_a_success_between_does_not() -> None:
    health = Health(3.0)
    for _ in range(10):
        for _ in range(FAILURES_IN_A_ROW - 1):
            health.failed(0.0)
        health.succeeded(0.0)
        if health.calls >= RATE_CALLS:
            break
        assert health.state(0.0, 0) is State.WELL
    fresh = Health(3.0)
    assert near(outs(fresh, 100.0), 3.0)
    assert fresh.state(101.0, 0) is State.FAILING


def test_half_of_many_calls_failing_takes_it_out_though_never_in_a_row() -> None:
    health = Health(3.0)
    now = 0.0
    while not health.is_suspect and now < 100:
        health.succeeded(now)
        health.failed(now)
        health.failed(now)
        now += 1
    assert health.calls <= 1  # it begins anew
    assert RATE_CALLS <= 3 * now <= RATE_CALLS + 3


def test_it_is_tried_by_one_call_at_a_time_and_longer_each_time() -> None:
    health, now, pauses = Health(3.0), 1000.0, []
    pauses.append(outs(health, now))
    for _ in range(6):
        now = health.out_until
        assert health.state(now, 0) is State.WELL
        assert health.state(now, 1) is State.FAILING  # the one call that tries it is not over
        pauses.append(outs(health, now, times=1))
    assert all(near(pause, min(LONGEST_SECONDS, 3.0 * 2**n)) for n, pause in enumerate(pauses))
    now = health.out_until
    health.succeeded(now)
    assert health.state(now, 9) is State.WELL


def test_a_good_while_makes_the_next_pause_short_again() -> None:
    health = Health(3.0)
    outs(health, 0.0)
    assert near(outs(health, health.out_until, times=1), 6.0)
    now = health.out_until
    health.succeeded(now)
    assert near(outs(health, now + FORGET_SECONDS + 1), 3.0)


def test_an_older_call_that_ends_well_does_not_bring_it_back() -> None:
    health = Health(3.0)
    outs(health, 10.0)
    health.succeeded(10.5)
    assert health.is_out(10.6)


def test_one_that_refused_is_back_as_soon_as_it_answers_and_a_failing_one_is_not() -> None:
    refused, failing = Health(3.0), Health(3.0)
    refused.refused(0.0)
    assert refused.state(0.1, 0) is State.REFUSING
    refused.answered()
    assert refused.state(0.1, 0) is State.WELL
    outs(failing, 0.0)
    failing.answered()
    assert failing.state(0.1, 0) is State.FAILING


def test_failures_of_calls_that_ran_already_do_not_lengthen_the_pause() -> None:
    health = Health(3.0)
    outs(health, 0.0)
    until = health.out_until
    outs(health, 0.1, times=50)
    assert health.out_until == until
