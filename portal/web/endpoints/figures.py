"""The figures of an endpoint's page: what gateways counted by the minute, and samples of this process."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from endpoints.models import Endpoint
from endpoints.services.endpoint_traffic import Counters, Minute, counters_of, hour_ago, minutes_of
from endpoints.services.samples import Point, recent, sample
from endpoints.services.suits import currency
from endpoints.services.usage import cost_of
from endpoints.states import SERVING

from ..visit import Visit, page
from .rows import row_of

LATELY = 5  # minutes of which the two figures of calls are told
IN_TABLE = 15


@require_safe
@page
def live_figures(visit: Visit, uid: UUID) -> HttpResponse:
    """For the page's script: {minutes, points, since}. Takes a sample, so that a page without a stream lives too."""
    row = row_of(visit, uid)
    if row.status in SERVING and row.wanted is not None:
        sample(row)
    now, kept = timezone.now(), recent(row)
    minutes = minutes_of(row, now)
    response = JsonResponse({
        "minutes": [asdict(minute) for minute in minutes],
        "points": [asdict(point) for point in kept], "since": kept[0].at if kept else None,
        "now": _six(row, kept, minutes, now)})
    response["Cache-Control"] = "no-store"
    return response


def figures(row: Endpoint) -> dict[str, Any]:
    """What the page shows at once, without asking a place: three or four queries."""
    now = timezone.now()
    minutes = minutes_of(row, now)
    return {"figures": _six(row, recent(row), minutes, now), "minutes": minutes[-IN_TABLE:][::-1],
            "points": recent(row)[-IN_TABLE:][::-1]}


def _six(row: Endpoint, kept: list[Point], minutes: list[Minute], now: datetime) -> list[dict[str, Any]]:
    """The figures beside each other: name, label, value with its unit or "–", and where it is from."""
    last, lately = kept[-1] if kept else None, minutes[-LATELY:]
    booked = counters_of(row, hour_ago(now))
    why = "" if row.status in SERVING else _("it serves nobody now")
    return [
        _calls(lately), _tokens(last, booked), _first_byte(lately),
        _figure("waiting", _("Waiting"), _number(last.waiting if last else None, 0), "",
                _("%(n)s running") % {"n": _number(last.running, 0)} if last and last.running is not None
                else why or _("asked of its engines while this page is open")),
        _figure("cache", _("KV cache in use"), _number(last.cache * 100, 0) if last and last.cache is not None else "–", "%",
                _("of all replicas, on average") if last and last.cache is not None
                else why or _("asked of its engines while this page is open")),
        _figure("cost", _("Cost, this hour and the last"), _number(float(cost_of(booked.cost_nano)), 2), currency(),
                _("%(n)s calls, by the price of tokens") % {"n": _number(booked.requests, 0)}),
    ]


def _figure(name: str, label: str, value: str, unit: str, source: str) -> dict[str, Any]:
    return {"name": name, "label": label, "value": value, "unit": "" if value == "–" else unit, "source": source}


def _calls(lately: list[Minute]) -> dict[str, Any]:
    calls, errors = sum(one.calls for one in lately), sum(one.errors for one in lately)
    failed = _("%(n)s of %(calls)s failed") % {"n": _number(errors, 0), "calls": _number(calls, 0)}
    return _figure("requests", _("Requests"), _number(calls / (60 * LATELY), 2), _("/s"),
                   failed if calls else _("no call in 5 minutes"))


def _tokens(last: Point | None, booked: Counters) -> dict[str, Any]:
    tokens_in = last.tokens_in if last else None
    source = (_("%(n)s in /s") % {"n": _number(tokens_in, 0)} if tokens_in is not None
              else _("%(n)s in this hour and the last") % {"n": _number(booked.completion_tokens, 0)})
    return _figure("tokens", _("Tokens out"), _number(last.tokens_out if last else None, 0), _("/s"), source)


def _first_byte(lately: list[Minute]) -> dict[str, Any]:
    newest = next((one for one in reversed(lately) if one.p95 is not None), None)
    if newest is None or newest.p50 is None or newest.p95 is None:
        return _figure("first", _("First token, p95"), "–", "", _("no call in 5 minutes"))
    return _figure("first", _("First token, p95"), _number(newest.p95, 2), "s",
                   _("p50 %(time)s s, in the minute of %(at)s UTC") % {"time": _number(newest.p50, 2),
                                                                      "at": f"{newest.at:%H:%M}"})


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else number_format(value, digits, force_grouping=True)
