"""What the list and the page of routes show; each piece can be fetched again alone while the page is open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from endpoints.canary import Sample, milliseconds, quantile
from endpoints.models import FIRST_BYTE_BOUNDS, Canary, CanaryState, Route, TargetRole
from endpoints.services.route_picture import HISTORY_MINUTES, ON_TRIAL, Lane, Picture
from endpoints.services.route_traffic import total
from endpoints.services.route_wish import WHOLE, percents
from portal.tenancy.adminkit import sheet, status_badge
from portal.tenancy.text import clean

from . import cells
from .detail import CHAT
from .route_drawing import LANE, STEP, TALL, Ribbon, bars, level, ribbons, scale, steps

Limits = tuple[float | None, float | None]
COLOURS = 5  # series of the page's colours; the lanes go round


@dataclass(frozen=True)
class Drawn:
    """One lane as the template shows it."""

    lane: Lane
    ribbon: Ribbon
    colour: int
    role: str
    wished: str
    seen: str
    errors: str
    first_token: str
    badge: SafeString
    error_bars: str
    error_limit: float | None
    time_steps: str
    time_limit: float | None


def drawing(route: Route, seen: Picture) -> SafeString:
    """The flow of calls with what became of them, by endpoint."""
    lanes = seen.lanes
    limits = _limits(seen.canary, seen.judged.others) if seen.canary and seen.judged else (None, None)
    all_errors = scale([limits[0], *[one.error_percent for lane in lanes for one in lane.history]], 5)
    all_times = scale([limits[1], *[_slow(one) for lane in lanes for one in lane.history]], 0.05)
    parts = ribbons([lane.percent / WHOLE for lane in lanes],
                    [lane.seen.calls / seen.calls if seen.calls else 0.0 for lane in lanes])
    drawn = [_drawn(lane, part, number, seen, limits=limits if lane.role == ON_TRIAL else (None, None),
                    most=(all_errors, all_times))
             for number, (lane, part) in enumerate(zip(lanes, parts, strict=True))]
    return sheet("portal/admin/route_picture.html", route=route, lanes=drawn, calls=seen.calls, minutes=seen.minutes,
                 history=HISTORY_MINUTES, height=LANE * len(lanes), wide=STEP * HISTORY_MINUTES, tall=TALL,
                 most_errors=f"{all_errors:g} %", most_time=milliseconds(all_times), words=_words(lanes))


def _drawn(lane: Lane, ribbon: Ribbon, number: int, seen: Picture, *, limits: Limits, most: tuple[float, float]) -> Drawn:
    """`limits` and `most` are those of errors in % and of times in seconds."""
    return Drawn(
        lane, ribbon, number % COLOURS + 1, _role(lane, seen), _wished(lane),
        _percent(100 * lane.seen.calls / seen.calls) if seen.calls else "–", share_of_errors(lane.seen),
        time_of(lane.seen), cells.badge(lane.endpoint), bars([one.error_percent for one in lane.history], most[0]),
        level(limits[0], most[0]), steps([_slow(one) for one in lane.history], most[1]), level(limits[1], most[1]))


def _limits(canary: Canary, others: Sample) -> Limits:
    """The lowest of the guard's limits for errors (in %) and for the time to the first token (in s), as they are now."""
    errors = [canary.max_error_percent]
    if canary.max_error_points is not None and others.calls >= canary.min_calls:
        errors.append((others.error_percent or 0.0) + canary.max_error_points)
    times = [None if canary.max_first_byte_ms is None else canary.max_first_byte_ms / 1000]
    theirs = quantile(others.first_bytes, FIRST_BYTE_BOUNDS)
    if canary.max_first_byte_ratio is not None and theirs is not None and others.calls >= canary.min_calls:
        times.append(theirs * canary.max_first_byte_ratio)
    return (min((one for one in errors if one is not None), default=None),
            min((one for one in times if one is not None), default=None))


def _role(lane: Lane, seen: Picture) -> str:
    if lane.role != ON_TRIAL:
        return _("takes its share") if lane.role == TargetRole.MAIN else _("stands in")
    return _("on trial") if seen.judged else _("returned to 0 %")


def _wished(lane: Lane) -> str:
    if lane.role == TargetRole.FALLBACK:
        return _("if nothing else is ready")
    return _("%(share)s wished") % {"share": _percent(lane.percent)}


def head(route: Route, seen: Picture) -> SafeString:
    """What the route does, in one sentence, and how that goes."""
    whole = total(lane.seen for lane in seen.lanes)
    sentence, role = told(seen)
    return sheet("portal/admin/route_status.html", route=route, badge=badge(seen.canary), sentence=sentence, role=role,
                 whole=whole, minutes=seen.minutes, errors=share_of_errors(whole), first_token=time_of(whole))


def told(seen: Picture) -> tuple[str, str]:
    """A sentence on the trial, or on the shares, and its role."""
    canary = seen.canary
    if canary is None:
        takers = [lane.endpoint.name for lane in seen.lanes if lane.percent > 0]
        if not takers:
            return _("None of its endpoints is meant to run: calls go to those that stand in, or are refused."), "late"
        if len(takers) == 1:
            return _("All calls go to %(name)s.") % {"name": takers[0]}, ""
        return _("Calls are shared among %(names)s.") % {"names": ", ".join(takers)}, ""
    named = {"name": canary.endpoint.name, "percent": canary.percent}
    if seen.judged is None:
        return f"{_('%(name)s gets no calls any more.') % named} {clean(canary.reason, 300)}".strip(), "late"
    own, verdict = seen.judged.own, seen.judged.verdict
    if not verdict.is_judged:
        return _("%(name)s gets %(percent)d %% on trial: %(calls)d of the %(least)d calls that it takes to judge it.") % {
            **named, "calls": own.calls, "least": canary.min_calls}, ""
    if verdict.reason:
        return f"{_('%(name)s is about to return.') % named} {verdict.reason}", "late"
    return _("%(name)s gets %(percent)d %% on trial and is within its limits: %(errors)s errors, %(time)s to the first token "
             "(%(calls)d calls).") % {**named, "errors": share_of_errors(own), "time": time_of(own), "calls": own.calls}, ""


def badge(canary: Canary | None) -> SafeString:
    if canary is None:
        return SafeString("")
    if canary.state == CanaryState.RETURNED:
        return status_badge(_("Canary returned"), "late", state="stalled", badge=True)
    return status_badge(_("Canary at %(percent)d %%") % {"percent": canary.percent}, "mean", state="updating", badge=True)


def share_of_errors(sample: Sample) -> str:
    return "–" if sample.error_percent is None else _percent(sample.error_percent)


def time_of(sample: Sample) -> str:
    slow = _slow(sample)
    return "–" if slow is None else milliseconds(slow)


def _slow(sample: Sample) -> float | None:
    return quantile(sample.first_bytes, FIRST_BYTE_BOUNDS)


def _percent(value: float) -> str:
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def _words(lanes: list[Lane]) -> str:
    """The picture for those who can't see it."""
    return "; ".join(_("%(name)s: %(wished)s wished, %(calls)d calls, %(errors)s errors, %(time)s to the first token") % {
        "name": lane.endpoint.name, "wished": _percent(lane.percent), "calls": lane.seen.calls,
        "errors": share_of_errors(lane.seen), "time": time_of(lane.seen)} for lane in lanes)


def parts(route: Route, seen: Picture) -> dict[str, SafeString]:
    return {"head": head(route, seen), "picture": drawing(route, seen)}


def shares(route: Any) -> SafeString:
    """A slim bar of who gets how much, and its words."""
    targets = [one for one in route.targets.all() if one.role == TargetRole.MAIN]
    canary = getattr(route, "canary", None)
    tried = canary.percent if canary is not None and canary.is_running else 0
    named = [(one.endpoint.name, share * (WHOLE - tried) / WHOLE)
             for one, share in zip(targets, percents([one.weight for one in targets]), strict=True)]
    if canary is not None and tried:
        named.append((canary.endpoint.name, float(tried)))
    left, cuts = 0.0, []
    for number, (_name, share) in enumerate(named):
        cuts.append((round(left, 2), round(share, 2), number % COLOURS + 1))
        left += share
    return sheet("portal/admin/route_shares.html", cuts=cuts, words=", ".join(
        f"{name} {_percent(share)}" for name, share in named))


def state(route: Any) -> SafeString:
    """The canary, where there is one."""
    canary = getattr(route, "canary", None)
    if canary is None:
        return SafeString("–")
    if canary.state == CanaryState.RETURNED:
        return status_badge(_("returned"), "late", state="stalled", note=canary.endpoint.name)
    return status_badge(_("on trial"), "mean", state="updating", note=canary.endpoint.name)


def figures(route: Any) -> SafeString:
    sample: Sample = route.sample
    return format_html('<span class="num">{}</span> <span class="sub">{}</span>', sample.calls, _(
        "%(errors)s errors · %(time)s") % {"errors": share_of_errors(sample), "time": time_of(sample)})


PARTS = {"shares": shares, "state": state, "figures": figures}


def live(route: Any, part: str) -> SafeString:
    """One piece, in a frame that the page's script fills again."""
    return format_html('<span data-live-id="{}" data-live-part="{}">{}</span>', str(route.pk), part, PARTS[part](route))


def curl(route: Route) -> str:
    """A call that works as it stands, once $PORTAL_API_KEY holds a key."""
    where, body = CHAT
    text = json.dumps({"model": route.public_name, **body})
    return (f"curl {settings.PORTAL_URL}{where} \\\n  -H \"Authorization: Bearer $PORTAL_API_KEY\" \\\n"
            f"  -H \"Content-Type: application/json\" \\\n  -d '{text}'")
