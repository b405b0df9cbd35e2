"""How long, in words: what was measured, what is expected, and how long ago. One rule for every page."""

from __future__ import annotations

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTES_FROM, TENS_FROM = 90, 20  # of what is expected
UNITS = ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"))


def took(span: timedelta | float | None) -> str:
    """What was measured, with three digits or so: 171 ms, 2.41 s, 12.3 s, 6 min 24 s, 2 h 5 min; “–” for nothing.

    `span` is in seconds where it is a number. Clocks of two machines may make it negative: that is no time.
    """
    if span is None:
        return "–"
    seconds = max(0.0, span.total_seconds() if isinstance(span, timedelta) else float(span))
    if seconds and round(seconds * 1000) < 1000:
        return _("%(n)s ms") % {"n": _rounded(seconds * 1000, 1 if seconds < 0.01 else 0)}
    if round(seconds, 1) < 60:
        digits = 0 if seconds.is_integer() else 2 if round(seconds, 2) < 10 else 1
        return _("%(n)s s") % {"n": _rounded(seconds, digits)}
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest} if rest else units(minutes, "minute")
    hours, rest = divmod(minutes, 60)
    return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": rest} if rest else units(hours, "hour")


def _rounded(value: float, digits: int) -> str:
    """Django's own formatting cuts digits off."""
    return number_format(round(value, digits), digits)


def about(seconds: float) -> str:
    """What is expected, no more exact than it is known: 40 s, 6 min, 2 h."""
    if seconds < MINUTES_FROM:
        exact = max(1, round(seconds))
        return units(exact if exact < TENS_FROM else round(exact, -1), "second")
    minutes = round(seconds / 60)
    return units(minutes, "minute") if minutes < MINUTES_FROM else units(round(minutes / 60), "hour")


def whole(passed: timedelta) -> str:
    """How long something has been so, in the largest whole unit: 3 days."""
    for size, unit in UNITS:
        if passed >= size:
            return units(passed // size, unit)
    return units(max(passed // timedelta(seconds=1), 0), "second")


def units(count: int, unit: str) -> str:
    words = {"day": ngettext("%(n)d day", "%(n)d days", count), "hour": ngettext("%(n)d h", "%(n)d h", count),
             "minute": ngettext("%(n)d min", "%(n)d min", count), "second": ngettext("%(n)d s", "%(n)d s", count)}
    return words[unit] % {"n": count}
