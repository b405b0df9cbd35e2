"""Days as bars: solid what was used, dashed what is expected, dash-dot what the limit of the month allows each day."""

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
FILLED = 0.7  # of a day's room
MONTH = 31  # days
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
        """Written here: a year has two thousand parts, over which a template takes a tenth of a second."""
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
    """What is drawn: for each day its parts, one for each name of `series`, and what is expected of days to come."""

    figure: str
    title: str
    days: Sequence[date]
    series: Sequence[str]
    values: dict[date, list[Decimal]]
    expected: dict[date, Decimal]
    limit: Decimal | None


def draw(what: Drawn) -> Chart:
    sums = {day: sum(parts, Decimal(0)) for day, parts in what.values.items()}
    most = nice(float(max([*sums.values(), *what.expected.values(), what.limit or Decimal(0), Decimal(0)])))
    wide = 100 / len(what.days)
    bars = [bar for at, day in enumerate(what.days) if (bar := _bar(what, day, at * wide, wide, most))]
    last = max((day for day, value in sums.items() if value), default=None)
    return Chart(
        bars=bars, legend=[(f"f-{at}", name) for at, name in enumerate(what.series, 1)],
        highest=in_words(Decimal(most), what.figure, is_round=True),
        middle=in_words(Decimal(most) / 2, what.figure, is_round=True), labels=_labels(what.days),
        limit_at=None if what.limit is None else round(100 - float(what.limit) / most * 100, 2),
        limit_words="" if what.limit is None else in_words(what.limit, what.figure, is_round=True),
        has_expected=bool(what.expected), words=_words(what, last, sums))


def nice(most: float) -> float:
    """The first round figure that is not lower."""
    if most <= 0:
        return 1.0
    size = 10.0 ** floor(log10(most))
    return next((step * size for step in STEPS if step * size >= most), most)


def _bar(what: Drawn, day: date, left: float, wide: float, most: float) -> Bar | None:
    at, room = round(left + wide * (1 - FILLED) / 2, 3), round(wide * FILLED, 3)
    parts, top = [], 100.0
    for number, value in enumerate(what.values.get(day, []), 1):
        tall = round(float(value) / most * 100, 3)
        if tall:
            top -= tall
            parts.append(Part(f"f-{number}", round(top, 3), tall))
    if parts:
        said = in_words(sum(what.values[day], Decimal(0)), what.figure)
        return Bar(at, room, f"{_short(day)}: {said}", parts)
    if expected := what.expected.get(day):
        tall = round(float(expected) / most * 100, 3)
        words = _("%(day)s: %(value)s expected") % {"day": _short(day), "value": in_words(expected, what.figure)}
        return Bar(at, room, words, [Part("f-meant", round(100 - tall, 3), tall)])
    return None


def _short(day: date) -> str:
    return date_format(day, "MONTH_DAY_FORMAT")


def _labels(days: Sequence[date]) -> list[Label]:
    """Below the middle of their bars: the first and the last day, and of the days between their number, within a month."""
    last = len(days) - 1
    if last < 2:
        return [Label(_middle(at, days), "middle", _short(day)) for at, day in enumerate(days)]
    ends = Label(0, "start", _short(days[0])), Label(100, "end", _short(days[-1]))
    if len(days) > MONTH:
        return [ends[0], Label(_middle(last // 2, days), "middle", _short(days[last // 2])), ends[1]]
    between = [round(number * last / 4) for number in (1, 2, 3)]
    return [ends[0], *[Label(_middle(at, days), "middle", str(days[at].day)) for at in between], ends[1]]


def _middle(at: int, days: Sequence[date]) -> float:
    return round((at + 0.5) / len(days) * 100, 3)


def _words(what: Drawn, last: date | None, sums: dict[date, Decimal]) -> str:
    values = {"what": what.title, "first": _short(what.days[0]), "last": _short(what.days[-1])}
    if last is None:
        return _("%(what)s by day from %(first)s to %(last)s: nothing") % values
    return _("%(what)s by day from %(first)s to %(last)s; the last day with calls is %(day)s with %(value)s") % {
        **values, "day": _short(last), "value": in_words(sums[last], what.figure)}
