"""A status as every page shows it: word, colour, shape and age; stale where the evidence is old."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

# The shape that says a role without colour, for states that have no shape of their own.
SHAPES = {"good": "inservice", "mean": "creating", "warn": "degraded", "late": "stalled", "bad": "failed", "idle": "stopped"}
OWN_SHAPES = frozenset({
    "pending", "creating", "inservice", "updating", "degraded", "stalled", "failed", "stopping", "stopped", "deleting",
})
STEPS = ((86400, "day"), (3600, "hour"), (60, "minute"))


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago `moment` was, in the largest whole unit; the page's script keeps it ticking."""
    if moment is None:
        return _("never")
    seconds = max(0, int(((now or timezone.now()) - moment).total_seconds()))
    for size, unit in STEPS:
        if seconds >= size:
            return _ago(seconds // size, unit)
    return ngettext("%(n)d s ago", "%(n)d s ago", seconds) % {"n": seconds}


def _ago(count: int, unit: str) -> str:
    if unit == "day":
        return ngettext("%(n)d day ago", "%(n)d days ago", count) % {"n": count}
    if unit == "hour":
        return ngettext("%(n)d h ago", "%(n)d h ago", count) % {"n": count}
    return ngettext("%(n)d min ago", "%(n)d min ago", count) % {"n": count}


def status_badge(
    label: object, role: str, *, state: str = "", seen: datetime | None = None, stale: bool = False, badge: bool = False,
    note: object = "",
) -> SafeString:
    """The status include. `role` is good, mean, warn, late, bad or idle; `state` picks a shape of its own.

    `seen` is when somebody last looked; without it no age is shown. `stale` keeps the word and marks the age.
    """
    own = state.lower() if state.lower() in OWN_SHAPES else ""
    return render_to_string("portal/admin/status.html", {
        "label": label, "role": role, "shape": "stale" if stale else own or SHAPES.get(role, "stopped"),
        "moves": role == "mean" and not stale, "seen": seen, "age": age(seen), "stale": stale, "badge": badge, "note": note,
    })


def sheet(template: str, **context: Any) -> SafeString:
    """A rendered piece of a page, for read-only fields that are more than a line. Templates escape their values."""
    return render_to_string(template, context)
