"""The statistics of load tests, by table: quantiles, arrivals, sizes, bounds, stopping, goals and comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from endpoints.loadtests.client import CUT, Answer
from endpoints.loadtests.histogram import Histogram
from endpoints.loadtests.plan import CALLERS, RATE, Plan, draw, expected
from endpoints.loadtests.prompts import WORDS, prompt
from endpoints.loadtests.results import Recorder
from endpoints.loadtests.stopping import ERRORS, FEWEST, REFUSED, Watch
from endpoints.loadtests.verdict import Goals, change, checks, compare

CHANCE = Random(7)
SHAPES: dict[str, list[float]] = {
    "one": [0.25], "same": [0.1] * 500, "two": [0.01, 10.0], "even": [n / 1000 for n in range(1, 2001)],
    "long tail": [CHANCE.lognormvariate(-2, 1.5) for _ in range(5000)],
    "tiny": [1e-7, 2e-6, 1e-5], "zero": [0.0, 0.0, 0.1],
}


def nearest_rank(times: Sequence[float], percent: float) -> float:
    return sorted(times)[math.ceil(len(times) * percent / 100) - 1]


@pytest.mark.parametrize("percent", [1, 50, 90, 95, 99, 100])
@pytest.mark.parametrize("name", SHAPES)
def test_quantiles_are_within_one_per_cent(name: str, percent: float) -> None:
    times = SHAPES[name]
    found = Histogram(times).quantile(percent)
    assert found == pytest.approx(nearest_rank(times, percent), rel=0.0101, abs=1.1e-5)


def test_nothing_counted_is_nothing_and_not_zero() -> None:
    assert Histogram().quantile(95) is None
    assert (Histogram().facts(), Histogram().bars(), Histogram().quantiles()) == ({}, [], None)


@pytest.mark.parametrize("name", SHAPES)
def test_bars_hold_every_time_once(name: str) -> None:
    bars = Histogram(SHAPES[name]).bars(40)
    assert len(bars) <= 40
    assert sum(count for _low, _high, count in bars) == len(SHAPES[name])
    assert all(before[1] == pytest.approx(after[0], abs=2e-6) for before, after in pairwise(bars))


def plan(**values: Any) -> Plan:
    return Plan(**{
        "url": "", "model": "m", "mode": RATE, "rate": 5.0, "callers": 4, "seconds": 60, "prompt_tokens": 100,
        "prompt_spread": 0, "output_tokens": 50, "output_spread": 0, "seed": 1, **values})


def test_arrivals_are_a_poisson_process() -> None:
    gaps: list[float] = []
    counts: list[int] = []
    for seed in range(40):
        starts = [0.0, *plan(rate=20.0, seconds=30).starts(Random(seed))]
        counts.append(len(starts) - 1)
        gaps += [after - before for before, after in pairwise(starts)]
        assert all(start < 30 for start in starts)
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(1 / 20, rel=0.05)
    assert deviation / mean == pytest.approx(1, rel=0.05)  # of an exponential; a steady clock has 0
    assert sum(counts) / len(counts) == pytest.approx(600, rel=0.03)


@pytest.mark.parametrize(("values", "calls", "prompt_tokens", "output_tokens", "nano", "is_most"), [
    ({}, 300, 30_000, 15_000, 0, False),
    ({"rate": 0.1, "seconds": 5}, 1, 100, 50, 0, False),
    ({"prompt_nano": 1000.0, "output_nano": 2000.0}, 300, 30_000, 15_000, 60_000_000, False),
    ({"prompt_spread": 50}, 300, 30_000, 15_000, 0, False),
    ({"mode": CALLERS, "most_rate": 50.0}, 3000, 300_000, 150_000, 0, True),
    ({"mode": CALLERS, "most_rate": 50.0, "most_tokens": 1500}, 10, 1000, 500, 0, True),
    ({"mode": CALLERS, "most_rate": 50.0, "most_nano": 450, "prompt_nano": 1.0, "output_nano": 1.0}, 3, 300, 150, 450, True),
])
def test_what_a_run_uses_is_said_before(values: dict[str, Any], calls: int, prompt_tokens: int, output_tokens: int,
                                        nano: int, is_most: bool) -> None:
    found = expected(plan(**values))
    assert (found.calls, found.prompt_tokens, found.output_tokens, found.nano, found.is_most) == (
        calls, prompt_tokens, output_tokens, nano, is_most)


@pytest.mark.parametrize(("values", "tokens", "nano", "in_flight", "passes"), [
    ({}, 10**12, 10**12, 100, False),
    ({"most_tokens": 1500}, 1350, 0, 0, False), ({"most_tokens": 1500}, 1351, 0, 0, True),
    ({"most_tokens": 1500}, 1200, 0, 1, False), ({"most_tokens": 1500}, 1201, 0, 1, True),
    ({"most_tokens": 1500, "output_spread": 20}, 1350, 0, 0, True),
    ({"most_nano": 1000, "prompt_nano": 1.0, "output_nano": 2.0}, 0, 800, 0, False),
    ({"most_nano": 1000, "prompt_nano": 1.0, "output_nano": 2.0}, 0, 801, 0, True),
])
def test_running_calls_count_against_what_is_left(values: dict[str, Any], tokens: int, nano: int, in_flight: int,
                                                  passes: bool) -> None:
    assert plan(**values).would_pass(tokens, nano, in_flight) is passes


@pytest.mark.parametrize(("tokens", "spread", "least", "most"), [
    (100, 0, 100, 100), (100, 20, 80, 120), (1, 90, 1, 1), (10, 90, 1, 19), (3, 50, 2, 4)])
def test_lengths_stay_within_their_spread(tokens: int, spread: int, least: int, most: int) -> None:
    drawn = {draw(tokens, spread, CHANCE) for _ in range(2000)}
    assert (min(drawn), max(drawn)) == (least, most)


def test_prompts_are_plain_words_and_never_the_same() -> None:
    first, second = prompt(300, CHANCE), prompt(300, CHANCE)
    assert first != second
    assert len(first.split()) == 300
    assert set(first.split()) <= set(WORDS)
    assert len(set(WORDS)) > 150


GOOD, BAD, FULL = "", ERRORS, REFUSED


@pytest.mark.parametrize(("ends", "gap", "why"), [
    ([BAD] * (FEWEST - 1), 0.1, ""),
    ([BAD] * FEWEST, 0.1, ERRORS),
    ([FULL] * FEWEST, 0.1, REFUSED),
    ([GOOD, BAD] * 30, 0.1, ""),  # half is not more than half
    ([GOOD] * 10 + [BAD] * 11, 0.1, ERRORS),
    ([GOOD] * 200 + [BAD] * 60, 0.05, ""),  # 60 of the last 200, which took ten seconds
    ([GOOD] * 200 + [BAD] * 102, 0.05, ERRORS),
    ([GOOD] * 40 + [BAD] * 11, 5.0, ERRORS),  # slow calls: the last twenty
    ([BAD] * 10 + [FULL] * 10, 0.1, REFUSED), ([BAD] * 11 + [FULL] * 9, 0.1, ERRORS),
])
def test_a_run_stops_when_failures_stay(ends: list[str], gap: float, why: str) -> None:
    watch, said = Watch(), ""
    for number, end in enumerate(ends):
        said = said or watch.saw(number * gap, end)
    assert said == why


def test_points_lie_along_the_time_and_sum_up() -> None:
    recorder = Recorder(240)
    assert recorder.width == 2
    for number in range(100):
        at = number / 10
        recorder.start(at, 0.001)
        recorder.time(at, "first", 0.2)
        recorder.token(at)
        if number % 10 == 9:
            recorder.fail(at, "http_500", "no")
        else:
            recorder.end(at, prompt=7, output=3, asked=(8, 3), is_reported=number % 2 == 0)
    series, summary = recorder.series(9.9), recorder.summary(10.0)
    assert [point["t"] for point in series["points"]] == [2.0, 4.0, 6.0, 8.0, 9.9]
    assert [point["tokens"] for point in series["points"]] == [10.0, 10.0, 10.0, 10.0, pytest.approx(20 / 1.9, abs=0.01)]
    assert sum(point["done"] for point in series["points"]) == summary["done"] == 90
    assert summary["errors"] == {"http_500": {"count": 10, "message": "no"}}
    assert (summary["prompt_tokens"], summary["asked_prompt"], summary["unreported"]) == (630, 720, 40)
    assert (summary["requests_per_second"], summary["tokens_per_second"]) == (9.0, 27.0)
    assert summary["first"]["p95"] == pytest.approx(0.2, rel=0.01)


def test_a_silent_stretch_is_a_gap_and_not_a_zero() -> None:
    recorder = Recorder(60)
    recorder.time(0.5, "first", 0.2)
    points = recorder.series(5.2)["points"]
    assert [point["first"] is None for point in points] == [False, True, True, True, True]


def told(first: float | None = None, *, done: int = 0, failed: int = 0, **values: float) -> dict[str, Any]:
    return {"done": done, "failed": failed, "first": {} if first is None else {"p95": first}, "between": {}, **values}


@pytest.mark.parametrize(("goals", "summary", "met"), [
    (Goals(), told(), []), (Goals(first=0.8), told(0.8), [True]), (Goals(first=0.8), told(0.81), [False]),
    (Goals(first=0.8), told(), [None]), (Goals(error_percent=1.0), told(done=99, failed=1), [True]),
    (Goals(error_percent=0.0), told(done=99, failed=1), [False]), (Goals(error_percent=1.0), told(), [None]),
    (Goals(0.8, 0.05, 1.0), told(0.5, done=1), [True, None, True]),
])
def test_goals_are_met_missed_or_unknown(goals: Goals, summary: dict[str, Any], met: list[bool | None]) -> None:
    assert [check.is_met for check in checks(goals, summary)] == met


@pytest.mark.parametrize(("ours", "theirs", "more", "percent", "better"), [
    (0.2, 0.4, False, -50.0, True), (0.4, 0.2, False, 100.0, False), (20.0, 10.0, True, 100.0, True),
    (10.0, 20.0, True, -50.0, False), (1.0, 1.01, False, pytest.approx(-0.99, abs=0.01), None), (None, 1.0, False, None, None),
    (1.0, None, False, None, None), (1.0, 0.0, False, None, False), (0.0, 0.0, False, None, None),
])
def test_two_figures_are_compared(ours: float | None, theirs: float | None, more: bool, percent: Any, better: Any) -> None:
    found = change("x", ours, theirs, more_is_better=more)
    assert (found.percent, found.is_better) == (percent, better)


def test_two_runs_are_compared_by_every_measure() -> None:
    names = [one.name for one in compare(told(0.1, done=5), told(0.2, done=4, failed=1))]
    assert names == ["first", "between", "whole", "requests_per_second", "tokens_per_second", "errors"]


def said(*words: str, usage: bool = True, done: bool = True, line_end: str = "\n") -> bytes:
    events: list[str] = [json.dumps({"choices": [{"delta": {"content": word}}]}) for word in words]
    events += [json.dumps({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})] * usage + ["[DONE]"] * done
    return "".join(f"data: {event}{line_end * 2}" for event in events).encode()


@pytest.mark.parametrize(("status", "body", "texts", "failure"), [
    (200, said("a", "b"), 2, ""), (200, said("", "a", line_end="\r\n"), 1, ""), (200, said("a", usage=False), 1, ""),
    (200, said("a", done=False), 1, CUT), (200, b"", 0, CUT), (200, b"data: {not json\n\n", 0, CUT),
    (200, said("a", done=False) + b'data: {"error": {"message": "engine stopped"}}\n\n', 1, CUT),
    (200, b'data: {"choices":[{"delta":{"reasoning":"hm"}}]}\n\ndata: [DONE]\n\n', 1, ""),
    (429, b'{"error": {"message": "too fast"}}', 0, "http_429"), (503, b"<html>", 0, "http_503"), (500, b"", 0, "http_500"),
])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_answers_are_read_however_they_are_cut(status: int, body: bytes, texts: int, failure: str, size: int) -> None:
    times: list[float] = []
    answer = Answer(times.append, status=status)
    for at in range(0, len(body), size):
        answer.take(body[at:at + size], float(at))
    answer.finish()
    assert (len(times), answer.failure) == (texts, failure)
    assert answer.message == {429: "too fast"}.get(status, answer.message)
