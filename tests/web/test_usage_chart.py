"""The chart of usage: what stands below it stands below the day that it names."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from portal.web.usage.chart import Drawn, draw


def by_month(months: int) -> Drawn:
    span = [date(2025 + number // 12, number % 12 + 1, 1) for number in range(9, 9 + months)]
    return Drawn(figure="requests", title="Requests", periods=span, series=["m"], values={span[0]: [Decimal(7)]}, expected={},
                 limit=None, by_month=True)


def drawn(days: int) -> Drawn:
    span = [date(2026, 11, 1) + timedelta(days=number) for number in range(days)]
    return Drawn(figure="requests", title="Requests", periods=span, series=["m"], values={day: [Decimal(1)] for day in span},
                 expected={}, limit=None)


@pytest.mark.parametrize(("days", "named"), [(30, {7: "8", 14: "15", 22: "23"}), (7, {2: "3", 3: "4", 4: "5"})])
def test_a_days_number_stands_below_the_middle_of_its_bar(days: int, named: dict[int, str]) -> None:
    chart = draw(drawn(days))
    assert [label.anchor for label in chart.labels] == ["start", "middle", "middle", "middle", "end"]
    for at, label in zip(sorted(named), chart.labels[1:-1], strict=True):
        bar = chart.bars[at]
        assert label.text == named[at]
        assert label.at == pytest.approx(bar.left + bar.wide / 2, abs=0.01)


@pytest.mark.parametrize(("days", "texts"), [
    (1, ["November 1"]), (2, ["November 1", "November 2"]), (61, ["November 1", "December 1", "December 31"]),
])
def test_short_and_long_spans_name_few_days(days: int, texts: list[str]) -> None:
    chart = draw(drawn(days))
    assert [label.text for label in chart.labels] == texts
    assert all(0 <= label.at <= 100 for label in chart.labels)


@pytest.mark.parametrize(("months", "texts"), [
    (4, ["October 2025", "Nov", "Dec", "Dec", "January 2026"]),
    (13, ["October 2025", "Jan", "Apr", "July", "October 2026"]),
])
def test_months_are_named_as_months(months: int, texts: list[str]) -> None:
    chart = draw(by_month(months))
    assert [label.text for label in chart.labels][-1] == texts[-1]
    assert chart.bars[0].words == "October 2025: 7"
    assert chart.words.startswith(f"Requests by month from October 2025 to {texts[-1]}; the last month with calls is October")
