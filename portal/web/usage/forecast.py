"""What the rest of the month is expected to add, and when a limit of the month would be reached."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from ..lists.spans import Span

LOOKS_BACK = 7  # days that are over; their mean is what a coming day is expected to be


@dataclass(frozen=True)
class Forecast:
    """`each_day` is what a day that has not begun is expected to add to `so_far`."""

    so_far: Decimal
    each_day: Decimal
    days_left: list[date]

    @property
    def total(self) -> Decimal:
        return self.so_far + self.each_day * len(self.days_left)

    def reaches(self, limit: Decimal) -> date | None:
        """The day on which the sum passes the limit; None where it is not expected to."""
        so_far = self.so_far
        for day in self.days_left:
            so_far += self.each_day
            if so_far >= limit:
                return day
        return None


def forecast(span: Span, by_day: dict[date, Decimal]) -> Forecast | None:
    """Of this month, from the days of it that are over; None where no day is, or where the span is another one."""
    over = [span.today - timedelta(days=back) for back in range(1, LOOKS_BACK + 1)]
    over = [day for day in over if day >= span.first]
    if span.name != "month" or not over:
        return None
    mean = sum((by_day.get(day, Decimal(0)) for day in over), Decimal(0)) / len(over)
    left = [day for day in span.days if day > span.today]
    return Forecast(sum(by_day.values(), Decimal(0)), mean, left)
