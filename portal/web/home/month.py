"""What the month has cost so far (or used, where nothing has a price), what is expected, and what may be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from endpoints.services.usage_days import calls_by_day
from portal.tenancy.models import Limit, LimitKind, Workspace

from ..lists.spans import Span, month_end
from ..usage.figures import in_words
from ..usage.forecast import Forecast, forecast
from .drawing import MonthLine, month_line

# The limit of a workspace that belongs to each figure.
LIMITS = {"cost": "money_per_month", "tokens": "tokens_per_month"}


@dataclass(frozen=True)
class Month:
    """`figure` is cost or tokens; `limit` is None where the workspace has none on it."""

    span: Span
    figure: str
    by_day: dict[date, Decimal]
    limit: Decimal | None

    @cached_property
    def forecast(self) -> Forecast | None:
        return forecast(self.span, self.by_day)

    @property
    def so_far(self) -> Decimal:
        return sum(self.by_day.values(), Decimal(0))

    @property
    def spent(self) -> str:
        return in_words(self.so_far, self.figure)

    @property
    def allowed(self) -> str:
        return "" if self.limit is None else in_words(self.limit, self.figure)

    @property
    def expected(self) -> str:
        return in_words(self.forecast.total, self.figure) if self.forecast else ""

    @property
    def each_day(self) -> str:
        return in_words(self.forecast.each_day, self.figure) if self.forecast else ""

    @property
    def title(self) -> str:
        return date_format(self.span.today, "F")

    @cached_property
    def line(self) -> MonthLine:
        sums, total = [], Decimal(0)
        for day in self.span.days:
            if day > self.span.today:
                break
            total += self.by_day.get(day, Decimal(0))
            sums.append(float(total))
        expected = float(self.forecast.total) if self.forecast else None
        return month_line(self.span.days, sums, expected, None if self.limit is None else float(self.limit))

    @property
    def scale(self) -> tuple[str, str]:
        """The top and the middle of the chart."""
        return tuple(in_words(Decimal(str(self.line.top * part)), self.figure) for part in (1, 0.5))  # type: ignore[return-value]

    @property
    def days(self) -> list[str]:
        """What is written below the chart."""
        days = self.span.days
        return [date_format(day, "MONTH_DAY_FORMAT") for day in (days[0], days[len(days) // 2], days[-1])]

    @property
    def words(self) -> str:
        said = {"spent": self.spent, "expected": self.expected or "–", "limit": self.allowed or "–"}
        return _("This month: %(spent)s seen, %(expected)s expected, limit %(limit)s") % said

    @property
    def runs_out(self) -> date | None:
        """The day on which the limit is expected to be reached; None where it is reached already, or not this month."""
        if self.forecast is None or self.limit is None or self.so_far >= self.limit:
            return None
        return self.forecast.reaches(self.limit)


def month_of(workspace: Workspace | None, limits: Sequence[Limit], now: datetime) -> Month:
    """Three queries. Cost where anything cost something or money is limited, else tokens."""
    today = now.astimezone(UTC).date()
    span = Span("month", today.replace(day=1), month_end(today), today)
    lines = calls_by_day(workspace.pk if workspace else None, span.first, span.last)
    tokens = {day: Decimal(line.of("prompt_tokens") + line.of("completion_tokens")) for day, line in lines.items()}
    costs = {day: line.cost for day, line in lines.items()}
    own = next((limit for limit in limits if limit.kind == LimitKind.WORKSPACE), None) if workspace is not None else None
    money = getattr(own, "money_per_month", None)
    figure = "cost" if money is not None or any(costs.values()) else "tokens"
    most = getattr(own, LIMITS[figure], None)
    return Month(span, figure, costs if figure == "cost" else tokens, None if most is None else Decimal(most))
