"""The one step by which the store counts: every case by hand, and by chance the same from Redis and the database."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from endpoints.gateway.limits.counting import Record, State, exchange
from endpoints.gateway.limits.memory import MemoryStore
from endpoints.gateway.limits.messages import Answer, Kind, Line, Refusal, Reply, Request, Store
from tests.gateway.limits.caller import Where

NOW = 1_000_000.5
SECOND = int(NOW)


def line(kind: Kind = "level", limit: int = 100, **values: int) -> Line:
    return Line("c", kind, limit, **values)  # type: ignore[arg-type]


def ask(state: State, one: Line, *amounts: int, process: str = "p", now: float = NOW) -> Reply:
    return exchange(state, Request(process, [one], [[(0, amount)] for amount in amounts]), now)


@pytest.mark.parametrize(("limit", "amounts", "admitted"), [
    (5, (1,) * 7, 5), (5, (5,), 1), (5, (6,), 0), (5, (3, 3, 2), 2), (0, (1,), 0), (10, (10, 1), 1),
])
def test_calls_are_admitted_up_to_the_limit(limit: int, amounts: tuple[int, ...], admitted: int) -> None:
    reply = ask(State(), line(limit=limit), *amounts)
    assert sum(refusal is None for refusal in reply.refusals) == admitted


@pytest.mark.parametrize(("free", "size", "others", "share"), [
    (1000, 1, 0, 500), (1000, 1, 3, 125), (1000, 62, 0, 500), (1000, 63, 0, 0),  # less than 8 calls: none
    (16, 1, 0, 8), (15, 1, 0, 0), (1000, 0, 0, 0),
])
def test_a_share_is_half_of_what_each_process_could_have(free: int, size: int, others: int, share: int) -> None:
    state = State(leases={f"o{number}": NOW + 9 for number in range(others)})
    assert ask(state, line(limit=free, size=size)).answers[0] == Answer(share, 0, share == 0, is_seeded=True)


def test_a_refusal_takes_new_shares_away_and_waits_for_those_who_do_not_know() -> None:
    state = State()
    assert ask(state, line(size=1), process="a").answers[0].grant == 50
    assert ask(state, line(), 60, process="b").refusals == [Refusal(0, 50, 1)]
    assert ask(state, line(size=1), process="a").answers[0] == Answer(0, 0, is_tight=True, is_seeded=True)
    assert ask(state, line(), 60, process="b").refusals == [None]


def test_all_lines_admit_a_call_or_none() -> None:
    lines = [Line("a", "level", 5), Line("b", "level", 1)]
    reply = exchange(State(), Request("p", lines, [[(0, 1), (1, 1)]] * 2 + [[(0, 4)]]), NOW)
    assert reply.refusals == [None, Refusal(1, 0, 1), None]
    assert [answer.used for answer in reply.answers] == [5, 1]


@pytest.mark.parametrize(("age", "used", "wait"), [(0, 10, 61), (30, 10, 31), (60, 10, 1), (61, 0, None)])
def test_a_minute_is_any_sixty_seconds(age: int, used: int, wait: int | None) -> None:
    reply = ask(State(), replace(line("minute", 10), spends=((age, 10),)), 1)
    assert reply.refusals == [Refusal(0, 0, wait) if wait else None]
    assert reply.answers[0].used == used + (wait is None)


def test_what_a_dead_process_held_is_free_after_its_lease() -> None:
    state = State()
    assert ask(state, line(limit=5, hold=5), process="dead").answers[0].grant == 5
    assert ask(state, line(limit=5), 1, now=NOW + 7).refusals != [None]
    assert ask(state, line(limit=5), 5, now=NOW + 8.1).refusals == [None]
    assert ask(state, line(limit=5, hold=5), process="dead", now=NOW + 9).answers[0].used == 10  # it was only slow


def test_what_a_dead_process_might_use_in_its_minute_counts_as_used() -> None:
    """It may have used its share and told nobody: a minute later all is free again."""
    state = State()
    assert ask(state, line("minute", size=1), process="dead").answers[0].grant == 50
    assert ask(state, line("minute"), 51, now=NOW + 8.1).refusals == [Refusal(0, 0, 61)]
    assert ask(state, line("minute"), 50, now=NOW + 8.1).refusals == [None]
    assert ask(state, line("minute", hold=50), 50, now=NOW + 70).refusals == [None]


def test_a_process_that_leaves_in_peace_used_what_it_told() -> None:
    state = State()
    assert ask(state, line("minute", size=1), process="p").answers[0].grant == 50
    leaving = Request("p", [replace(line("minute"), spends=((0, 3),))], is_leaving=True)
    assert exchange(state, leaving, NOW + 1).answers[0].used == 3


def test_a_month_begins_with_what_the_database_knows() -> None:
    state = State()
    unknown = ask(state, line("month", 100, month=7, size=1), 1)
    assert (unknown.refusals, unknown.answers) == ([Refusal(0, 0, 1)], [Answer(0, 0, is_tight=True, is_seeded=False)])
    assert ask(state, line("month", 100, month=7, seed=95), 5).refusals == [None]
    assert ask(state, line("month", 100, month=7, seed=90), process="q").answers[0].used == 100  # never less
    assert not ask(state, line("month", 100, month=8, hold=5)).answers[0].is_seeded
    assert ask(state, line("month", 100, month=7), process="q").answers[0].used == 5  # a slow clock: what is held still


def test_a_look_changes_nothing() -> None:
    state = State({"c": Record(total=3, month=1, is_seeded=True)})
    reply = exchange(state, Request("", [line("month", 10, month=1, size=1)]), NOW)
    assert (reply.answers[0].used, state.records["c"].grants, state.leases) == (3, {}, {})


@pytest.mark.parametrize("seed", range(4))
def test_redis_counts_as_the_pure_step_does(in_redis: Where, seed: int) -> None:
    assert_same(in_redis.store(), seed)


@pytest.mark.both_databases
@pytest.mark.parametrize("seed", range(3))
def test_the_database_counts_as_the_pure_step_does(in_database: Where, seed: int) -> None:
    assert_same(in_database.store(), seed)


def assert_same(store: Store, seed: int) -> None:
    """Whole conversations of three processes get the same answers, but for a second's difference in waits."""
    drawn, memory = random.Random(seed), MemoryStore()
    for number in range(40):
        request = drawn_request(drawn, is_leaving=number == 30)
        expected, found = memory.exchange(request), store.exchange(request)
        assert (found.processes, found.answers) == (expected.processes, expected.answers)
        for one, other in zip(found.refusals, expected.refusals, strict=True):
            assert (one and (one.line, one.unsure)) == (other and (other.line, other.unsure))
            assert one is None or other is None or abs(one.wait - other.wait) <= 1
    store.close()


def drawn_request(drawn: random.Random, *, is_leaving: bool) -> Request:
    kinds: list[Kind] = ["level", "minute", "month"]
    process = drawn.choice(["a", "b", "c", ""])
    if not process:
        return Request(process, [Line(kind, kind, 100) for kind in kinds])
    lines = [Line(kind, kind, drawn.choice([50, 200]), drawn.randrange(20), drawn.randrange(5), drawn.choice([0, 1, 4]),
                  tuple((drawn.randrange(0, 50, 10), drawn.randrange(9)) for _ in range(drawn.randrange(3))),
                  drawn.choice([5, 5, 5, 6]) if kind == "month" else 0, drawn.choice([None, None, 9]))
             for kind in kinds]
    asks = [[(number, drawn.randrange(1, 30)) for number in sorted(drawn.sample(range(3), drawn.randrange(1, 4)))]
            for _ in range(drawn.randrange(4))]
    return Request(process, lines, asks, is_leaving)
