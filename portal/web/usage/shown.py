"""The page of usage as it is shown: a sentence for its title, figures, a chart, and a table with shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from endpoints.services.usage import Line
from endpoints.services.usage_days import GPUS_OF, Cells, Sums
from portal.tenancy.models import Limit, LimitKind, Workspace

from .ask import FIGURES, Asked
from .chart import SERIES, Chart, Drawn, draw
from .figures import cash, gpu_hours, in_words, value_of
from .forecast import Forecast, forecast

MOST_SHOWN = 20
LIMITED = {"cost": "money_per_month", "tokens": "tokens_per_month"}


@dataclass(frozen=True)
class Row:
    """A line of the table, of a subject or a period. `share` is percent of all, by the figure that is shown."""

    name: str
    period: date | None
    line: Line
    cost: str
    share: float
    gpu_hours: str
    address: str = ""


@dataclass(frozen=True)
class Shown:
    asked: Asked
    figure: str
    sums: Sums
    limit: Decimal | None
    limited: Limit | None

    @property
    def forecast(self) -> Forecast | None:
        return forecast(self.asked.span, {day: value_of(line, self.figure) for day, line in self.sums.by_period.items()})

    @property
    def spent(self) -> Decimal:
        return value_of(self.sums.total, self.figure)

    def rows(self, address: Callable[[str], str]) -> list[Row]:
        """The largest subjects, or the periods, newest first. `address` leads from a name to the page narrowed to it."""
        if self.asked.by == "day":
            return [self._row(period.isoformat(), period, self.sums.by_period[period])
                    for period in sorted(self.sums.by_period, reverse=True)]
        return [self._row(line.names[0], None, line, address(line.names[0]))
                for _subject, line in self._largest[:MOST_SHOWN]]

    @property
    def cut(self) -> int:
        """How many subjects are not among the rows."""
        return 0 if self.asked.by == "day" else max(len(self.sums.by_subject) - MOST_SHOWN, 0)

    def _held(self, line: Line) -> int | None:
        """For how many seconds this period or subject held GPUs; None where none belong to it."""
        return line.gpu_seconds if self.sums.has_gpus and self.asked.by in ("day", *GPUS_OF) else None

    def _row(self, name: str, period: date | None, line: Line, address: str = "") -> Row:
        value = value_of(line, self.figure)
        share = float(value / self.spent * 100) if self.spent else 0.0
        return Row(name, period, line, cash(line.cost) if line.of("cost_nano") else "–", round(share, 2),
                   gpu_hours(self._held(line)), address)

    @cached_property
    def _largest(self) -> list[tuple[object, Line]]:
        return sorted(self.sums.by_subject.items(), key=lambda item: (
            value_of(item[1], self.figure), item[1].of("requests"), item[1].of("refused"),
            item[1].gpu_seconds), reverse=True)

    def chart(self) -> Chart:
        periods, largest = self.asked.span.periods, self._largest
        top = [subject for subject, _line in largest[:SERIES]]
        names = [line.names[0] or _("unknown") for _subject, line in largest[:SERIES]]
        left, cells = self.forecast, self.sums.cells_of(top)
        return draw(Drawn(
            figure=self.figure, title=str(FIGURES[self.figure]), periods=periods, by_month=self.asked.span.is_long,
            series=[*names, _("Others")] if len(largest) > SERIES else names,
            values={period: self._parts(period, top, cells) for period in self.sums.by_period},
            expected=dict.fromkeys(left.days_left, left.each_day) if left and left.each_day else {},
            limit=self.limit / len(periods) if self.limit else None))

    def _parts(self, period: date, top: list[object], cells: Cells) -> list[Decimal]:
        """What each of the largest subjects used in this period, and all others together."""
        parts = [value_of(cells.get((period, subject), Line()), self.figure) for subject in top]
        return [*parts, value_of(self.sums.by_period[period], self.figure) - sum(parts, Decimal(0))]

    def title(self) -> str:
        """What was used, and whether it is expected to stay within the limit."""
        if not self.sums.total.of("requests") and not self.sums.total.of("refused"):
            return _("Nobody called a model in this time")
        span, left = self.asked.span, self.forecast
        values = {"used": self.words(self.spent), "span": span.title}
        if span.name == "custom":
            return _("%(used)s from %(span)s") % values
        if left is None or not left.days_left:
            return _("%(used)s in %(span)s") % values
        values |= {"expected": self.words(left.total), "day": date_format(span.last, "MONTH_DAY_FORMAT")}
        if self.limit and (reached := left.reaches(self.limit)):
            values["reached"] = date_format(reached, "MONTH_DAY_FORMAT")
            return _("%(used)s so far; the limit is reached about %(reached)s") % values
        return _("%(used)s so far, %(expected)s expected by %(day)s") % values

    def words(self, value: Decimal, *, is_round: bool = False) -> str:
        """A value of the figure with its unit."""
        said = in_words(value, self.figure, is_round=is_round)
        if self.figure == "cost":
            return said
        return (_("%(count)s tokens") if self.figure == "tokens" else _("%(count)s requests")) % {"count": said}


def shown_of(asked: Asked, sums: Sums, workspace: Workspace | None) -> Shown:
    """By the chosen figure; else by cost, or by tokens where nothing cost anything, or by requests."""
    figure = asked.figure or next((name for name in FIGURES if value_of(sums.total, name)), "tokens")
    limited = None
    if workspace is not None and asked.span.name in ("month", "last") and not asked.filters:
        limited = Limit.objects.filter(workspace=workspace, kind=LimitKind.WORKSPACE).first()
    most = getattr(limited, LIMITED.get(figure, ""), None)
    return Shown(asked, figure, sums, None if most is None else Decimal(most), limited)
