"""Days or months as bars: solid what was used, dashed what is expected, dash-dot what the month's limit allows a day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import floor, log10

from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .figures import in_words

SERIES = 4  # that are told apart; the fifth colour is for all others
FILLED = 0.7  # of a bar's room
MONTH = 31  # days
MONTH_YEAR, SHORT_MONTH = "YEAR_MONTH_FORMAT", "M"
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Part:
    """A piece of a bar, in percent of the picture."""

    css: str
    top: float
    tall: float


@dataclass(frozen=True)
class Bar:
    left: float
    wide: float
    words: str
    parts: list[Part]

    @property
    def svg(self) -> SafeString:
        """Written here: a template takes several times as long for hundreds of parts."""
        across = format_html('x="{}%" width="{}%"', self.left, self.wide)
        rects = format_html_join("", '<rect class="{}" {} y="{}%" height="{}%"/>', (
            (part.css, across, part.top, part.tall) for part in self.parts))
        return format_html("<g><title>{}</title>{}</g>", self.words, rects)


@dataclass(frozen=True)
class Label:
    """Text below the picture; `at` is in percent of its width, where the text's `anchor` (start, middle, end) lies."""

    at: float
    anchor: str
    text: str


@dataclass(frozen=True)
class Chart:
    bars: list[Bar]
    legend: list[tuple[str, str]]
    highest: str
    middle: str
    labels: list[Label]
    limit_at: float | None  # percent from the top
    limit_words: str
    has_expected: bool
    words: str


@dataclass(frozen=True)
class Drawn:
    """What is drawn: the parts of each day, or `by_month`, one for each name of `series`; what is expected of days to come."""

    figure: str
    title: str
    periods: Sequence[date]
    series: Sequence[str]
    values: dict[date, list[Decimal]]
    expected: dict[date, Decimal]
    limit: Decimal | None
    by_month: bool = False

    def said(self, period: date) -> str:
        return date_format(period, MONTH_YEAR if self.by_month else "MONTH_DAY_FORMAT")


def draw(what: Drawn) -> Chart:
    sums = {period: sum(parts, Decimal(0)) for period, parts in what.values.items()}
    most = nice(float(max([*sums.values(), *what.expected.values(), what.limit or Decimal(0), Decimal(0)])))
    wide = 100 / len(what.periods)
    bars = [bar for at, period in enumerate(what.periods) if (bar := _bar(what, period, at * wide, wide, most))]
    last = max((period for period, value in sums.items() if value), default=None)
    return Chart(
        bars=bars, legend=[(f"f-{at}", name) for at, name in enumerate(what.series, 1)],
        highest=in_words(Decimal(most), what.figure, is_round=True),
        middle=in_words(Decimal(most) / 2, what.figure, is_round=True), labels=_labels(what),
        limit_at=None if what.limit is None else round(100 - float(what.limit) / most * 100, 2),
        limit_words="" if what.limit is None else in_words(what.limit, what.figure, is_round=True),
        has_expected=bool(what.expected), words=_words(what, last, sums))


def nice(most: float) -> float:
    """The first round figure that is not lower."""
    if most <= 0:
        return 1.0
    size = 10.0 ** floor(log10(most))
    return next((step * size for step in STEPS if step * size >= most), most)


def _bar(what: Drawn, period: date, left: float, wide: float, most: float) -> Bar | None:
    at, room = round(left + wide * (1 - FILLED) / 2, 3), round(wide * FILLED, 3)
    parts, top = [], 100.0
    for number, value in enumerate(what.values.get(period, []), 1):
        tall = round(float(value) / most * 100, 3)
        if tall:
            top -= tall
            parts.append(Part(f"f-{number}", round(top, 3), tall))
    if parts:
        said = in_words(sum(what.values[period], Decimal(0)), what.figure)
        return Bar(at, room, f"{what.said(period)}: {said}", parts)
    if expected := what.expected.get(period):
        tall = round(float(expected) / most * 100, 3)
        words = _("%(day)s: %(value)s expected") % {"day": what.said(period), "value": in_words(expected, what.figure)}
        return Bar(at, room, words, [Part("f-meant", round(100 - tall, 3), tall)])
    return None


def _labels(what: Drawn) -> list[Label]:
    """Below the middle of their bars: the first and the last, and of those between their number or their month."""
    periods = what.periods
    last = len(periods) - 1
    if last < 2:
        return [Label(_middle(at, periods), "middle", what.said(period)) for at, period in enumerate(periods)]
    ends = Label(0, "start", what.said(periods[0])), Label(100, "end", what.said(periods[-1]))
    if len(periods) > MONTH:
        return [ends[0], Label(_middle(last // 2, periods), "middle", what.said(periods[last // 2])), ends[1]]
    between = [round(number * last / 4) for number in (1, 2, 3)]
    return [ends[0], *[Label(_middle(at, periods), "middle", _between(what, periods[at])) for at in between], ends[1]]


def _between(what: Drawn, period: date) -> str:
    return date_format(period, SHORT_MONTH) if what.by_month else str(period.day)


def _middle(at: int, periods: Sequence[date]) -> float:
    return round((at + 0.5) / len(periods) * 100, 3)


def _words(what: Drawn, last: date | None, sums: dict[date, Decimal]) -> str:
    values = {"what": what.title, "first": what.said(what.periods[0]), "last": what.said(what.periods[-1])}
    if last is None:
        nothing = _("%(what)s by month from %(first)s to %(last)s: nothing") if what.by_month else _(
            "%(what)s by day from %(first)s to %(last)s: nothing")
        return nothing % values
    words = _("%(what)s by month from %(first)s to %(last)s; the last month with calls is %(day)s with %(value)s") if (
        what.by_month) else _("%(what)s by day from %(first)s to %(last)s; the last day with calls is %(day)s with %(value)s")
    return words % {**values, "day": what.said(last), "value": in_words(sums[last], what.figure)}
