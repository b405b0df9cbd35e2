"""How often an address may come with a wrong key (T35)."""

from __future__ import annotations

import pytest

from portal.tenancy import strikes
from portal.tenancy.strikes import Strikes


@pytest.mark.parametrize(("calls", "waits"), [
    ([("a", 100.0), ("a", 130.0), ("a", 140.0), ("a", 159.5)], [0, 0, 20, 1]),
    ([("a", 100.0), ("a", 130.0), ("a", 160.0), ("a", 161.0)], [0, 0, 0, 0]),
    ([("a", 100.0), ("a", 100.0), ("b", 100.0), ("a", 100.0), ("b", 100.0)], [0, 0, 0, 60, 0]),
], ids=["too many in a minute", "a new minute", "another place"])
def test_wrong_keys_are_counted_by_place_and_minute(calls: list[tuple[str, float]], waits: list[int]) -> None:
    counted = Strikes(2)
    assert [counted.note(place, now) for place, now in calls] == waits


def test_a_flood_from_everywhere_takes_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strikes, "MOST_PLACES", 10)
    counted = Strikes(1)
    assert [counted.note(str(number), 0.0) for number in range(100)] == [0] * 100
    assert len(counted._counts) <= 10
