"""The fan-out by itself, with eyes of the test's own: one look for all, caps, slow readers, a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from endpoints.models import Endpoint
from endpoints.services.endpoint_traffic import Counters, quantile
from endpoints.services.samples import Point, Sample, points
from endpoints.targets.engine_pages import EngineFigures, read_engines
from portal.tenancy.errors import Unavailable
from portal.web.endpoints import hub as hubs
from portal.web.endpoints.hub import ENDED, Eyes, Hub, Stream, Told
from portal.web.endpoints.stream import written
from portal.web.endpoints.watching import Seen, Who, mark_of

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ALICE, BOB = Who(1, 1, "a", "x"), Who(2, 1, "b", "y")


class World:
    """What the fake eyes see."""

    def __init__(self) -> None:
        self.rows = {7: Seen("one", NOW, is_serving=False)}
        self.lost: set[Who] = set()
        self.looks: list[set[int]] = []
        self.samples: list[int] = []
        self.away = False

    def look(self, pks: Collection[int]) -> dict[int, Seen]:
        if self.away:
            raise OperationalError
        self.looks.append(set(pks))
        return {pk: seen for pk, seen in self.rows.items() if pk in pks}

    def gone(self, people: Iterable[Who]) -> set[Who]:
        return self.lost & set(people)

    def sample(self, pk: int) -> Point | None:
        self.samples.append(pk)
        return Point(NOW, 1.0, 2.0, None, None, None, None)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(hubs, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(hubs, "RIGHTS_SECONDS", 0.02)
    monkeypatch.setattr(hubs, "SAMPLE_SECONDS", 0.05)
    monkeypatch.setattr(hubs, "close_old_connections", lambda: None)
    monkeypatch.setattr(hubs, "connections", type("None", (), {"close_all": staticmethod(lambda: None)}))
    return World()


def a_hub(world: World) -> Hub:
    return Hub(Eyes(world.look, world.gone, world.sample))


async def next_of(stream: Stream, name: str) -> Told:
    while (told := await asyncio.wait_for(stream.waiting.get(), 5)).name != name:
        pass
    return told


async def test_one_look_serves_all_streams_and_ends_with_the_last(world: World) -> None:
    hub = a_hub(world)
    async with hub.open(ALICE, 7) as first, hub.open(BOB, 7) as second:
        assert (await next_of(first, "state")).data["mark"] == (await next_of(second, "state")).data["mark"] == "one"
        async with hub.open(BOB, 7) as late:
            assert (await next_of(late, "state")).data["mark"] == "one"
        world.rows[7] = Seen("two", NOW, is_serving=False)
        assert (await next_of(first, "state")).data["mark"] == (await next_of(second, "state")).data["mark"] == "two"
    await asyncio.wait_for(hub._looking, 5)  # type: ignore[arg-type]
    assert all(look == {7} for look in world.looks)
    assert hub.streams == set()


@pytest.mark.parametrize(("change", "name"), [
    (lambda world: world.lost.add(ALICE), "revoked"), (lambda world: world.rows.clear(), "gone"),
])
async def test_a_stream_is_told_its_end_last(world: World, change: Any, name: str) -> None:
    hub = a_hub(world)
    async with hub.open(ALICE, 7) as stream:
        await next_of(stream, "state")
        change(world)
        assert (await next_of(stream, name)).last


async def test_streams_are_capped_for_a_person_and_a_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "MOST_STREAMS", 2)
    monkeypatch.setattr(hubs, "MOST_OF_A_PERSON", 1)
    hub = a_hub(world)
    async with hub.open(ALICE, 7):
        with pytest.raises(Unavailable, match="You have too many"):
            async with hub.open(ALICE, 7):
                pass
        async with hub.open(BOB, 7):
            with pytest.raises(Unavailable, match="Too many pages"):
                async with hub.open(Who(3, 1, "c", "z"), 7):
                    pass


async def test_a_reader_that_takes_nothing_is_ended() -> None:
    stream = Stream(ALICE, 7)
    for number in range(hubs.MOST_WAITING + 1):
        stream.tell(Told("state", {"number": number}))
    assert stream.waiting.qsize() == 1
    assert stream.waiting.get_nowait() is ENDED


async def test_without_a_look_at_the_rights_streams_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "BLIND_SECONDS", 0.1)
    hub = a_hub(world)
    async with hub.open(ALICE, 7) as stream:
        await next_of(stream, "state")
        world.away = True
        assert (await next_of(stream, "ended")).last


async def test_what_serves_is_sampled_for_all_who_look(world: World) -> None:
    world.rows[7] = Seen("one", NOW, is_serving=True)
    hub = a_hub(world)
    async with hub.open(ALICE, 7) as first, hub.open(BOB, 7) as second:
        for stream in (first, second):
            assert (await next_of(stream, "figures")).data["tokens_out"] == 2
    assert set(world.samples) == {7}


@pytest.mark.parametrize(("told", "text"), [
    (None, b"event: beat\ndata: {}\n\n"), (ENDED, b"event: ended\ndata: {}\n\n"),
    (Told("state", {"mark": "a\nb", "seen_at": NOW}),
     b'event: state\ndata: {"mark":"a\\nb","seen_at":"2026-11-22T00:00:00Z"}\n\n'),
])
def test_events_are_written_as_browsers_read_them(told: Told | None, text: bytes) -> None:
    assert written(told) == text


@pytest.mark.parametrize("change", [
    {"status": "FAILED"}, {"generation": 2}, {"message": "x"}, {"ready_replicas": 2}, {"drift": [1]}, {"seen_at": None},
])
def test_a_mark_changes_with_what_is_shown(change: dict[str, Any]) -> None:
    row, other = Endpoint(seen_at=NOW), Endpoint(seen_at=NOW)
    for name, value in change.items():
        setattr(other, name, value)
    assert mark_of(row, 1, [], NOW) != mark_of(other, 1, [], NOW)
    assert mark_of(row, 1, [], NOW) == mark_of(row, 1, [], NOW + timedelta(seconds=5)), "an age is no news"
    assert mark_of(row, 1, [], NOW) != mark_of(row, 1, [], NOW + timedelta(minutes=5)), "stale is news"


@pytest.mark.parametrize(("counts", "share", "seconds"), [
    ((), 0.5, None), ((0,) * 12, 0.5, None), ((10,), 0.5, 0.0125), ((10, 10), 0.75, 0.0375), ((0, 0, 4), 1.0, 0.1),
    ((0,) * 11 + (5,), 0.95, 25.6),
])
def test_quantiles_lie_between_the_edges_of_their_bucket(counts: tuple[int, ...], share: float, seconds: float | None) -> None:
    assert quantile(counts, share) == (None if seconds is None else pytest.approx(seconds))


def a_sample(second: int, written_tokens: float | None, booked: int) -> Sample:
    return Sample(NOW + timedelta(seconds=second), EngineFigures(1, written_tokens=written_tokens), Counters(
        requests=booked, completion_tokens=booked * 10))


def test_rates_are_taken_over_a_window_and_from_the_engine_first() -> None:
    found = points([a_sample(0, None, 0), a_sample(3, None, 3), a_sample(6, 100, 6), a_sample(21, 250, 21),
                    a_sample(24, 5, 24)])
    assert [one.requests for one in found] == [None, 1, 1, 1, 1]
    assert [one.tokens_out for one in found] == [None, 10, 10, 10, 10]
    assert points([a_sample(0, 100, 0), a_sample(10, 150, 0)])[-1].tokens_out == 5
    assert points([a_sample(0, 100, 0), a_sample(10, 50, 0)])[-1].tokens_out == 0, "the engine began anew: what was booked"


@pytest.mark.parametrize(("texts", "figures"), [
    ([], EngineFigures()),
    (["garbage {{{\n"], EngineFigures(1)),
    (['vllm:num_requests_waiting{model_name="a"} 2\nvllm:kv_cache_usage_perc 0.5\n',
      "vllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.7\nprocess_cpu_seconds_total 9\n"],
     EngineFigures(2, waiting=5, cache=0.6)),
    (["sglang:num_running_reqs 1\nsglang:token_usage NaN\n"], EngineFigures(1, running=1)),
    (["vllm:num_requests_waiting {\n"], EngineFigures()),
])
def test_engines_pages_are_added_up(texts: list[str], figures: EngineFigures) -> None:
    assert read_engines(texts) == figures
