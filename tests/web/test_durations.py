"""How long, in words, at the edges of each unit."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.web.durations import about, took, whole


@pytest.mark.parametrize(("span", "words"), [
    (None, "–"), (0, "0 s"), (-3, "0 s"), (0.0004, "0.4 ms"), (0.0123, "12 ms"), (0.234, "234 ms"), (0.9996, "1.00 s"),
    (1, "1 s"), (2.414, "2.41 s"), (9.999, "10.0 s"), (12.34, "12.3 s"), (59, "59 s"), (59.96, "1 min"), (60, "1 min"),
    (72, "1 min 12 s"), (383.7, "6 min 24 s"), (3599.6, "1 h"), (3700, "1 h 1 min"), (7200, "2 h")])
def test_what_was_measured(span: float | None, words: str) -> None:
    assert took(span) == words
    if span is not None:
        assert took(timedelta(seconds=span)) == words


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "1 s"), (3, "3 s"), (42, "40 s"), (89, "90 s"), (240, "4 min"), (5340, "89 min"), (7200, "2 h")])
def test_what_is_expected_is_no_more_exact_than_it_is_known(seconds: int, words: str) -> None:
    assert about(seconds) == words


@pytest.mark.parametrize(("passed", "words"), [
    ({"seconds": -5}, "0 s"), ({"seconds": 59.9}, "59 s"), ({"minutes": 14, "seconds": 5}, "14 min"),
    ({"minutes": 119}, "1 h"), ({"hours": 47}, "1 day"), ({"days": 3, "hours": 5}, "3 days")])
def test_how_long_something_has_been_so(passed: dict[str, float], words: str) -> None:
    assert whole(timedelta(**passed)) == words
