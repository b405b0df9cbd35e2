"""What the address of the page of usage asks for: a span, a sort of subject, a figure, and filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.models import GpuHour, UsageHour
from endpoints.services.usage_days import Sums, add_gpus, sums_of

from ..lists.address import asked
from ..lists.spans import Span, span_of
from ..visit import Visit

SUBJECTS: dict[str, str | Promise] = {
    "model": _("Model"), "endpoint": _("Endpoint"), "place": _("Place"), "key": _("Key"), "member": _("Member"),
    "workspace": _("Workspace"), "day": _("Day"),
}
FIGURES: dict[str, str | Promise] = {"cost": _("Cost"), "tokens": _("Tokens"), "requests": _("Requests")}
FILTERS = {"model": "model_name", "endpoint": "endpoint_name", "key": "key_name", "member": "member_name"}
Hours = TypeVar("Hours", UsageHour, GpuHour)


@dataclass(frozen=True)
class Asked:
    """`figure` is empty where the person has not chosen one."""

    span: Span
    by: str
    figure: str
    filters: dict[str, str]

    @property
    def grouped_by(self) -> str:
        """What the days of the chart are made of."""
        return "model" if self.by == "day" else self.by


def read(visit: Visit) -> Asked:
    """Raises Invalid for a span that is none. Without one: this month; over all workspaces, which is a lot, 7 days."""
    request = visit.request
    by, figure = asked(request, "by", "model"), asked(request, "of")
    given = {name: asked(request, name) for name in FILTERS}
    return Asked(
        span=span_of(request, timezone.now(), "month" if visit.workspace else "7d"),
        by=by if by in subjects(visit) else "model", figure=figure if figure in FIGURES else "",
        filters={name: value for name, value in given.items() if value})


def subjects(visit: Visit) -> dict[str, str | Promise]:
    return {name: title for name, title in SUBJECTS.items() if name != "workspace" or visit.workspace is None}


def sums_for(visit: Visit, wanted: Asked) -> Sums:
    """The sums of these, with GPU hours unless a filter asks for a key or member. Raises Invalid for too many lines."""
    sums = sums_of(rows_of(visit, wanted), wanted.grouped_by)
    if not {"key", "member"} & wanted.filters.keys():
        add_gpus(sums, _narrowed(visit, wanted, GpuHour.objects.all()), wanted.grouped_by)
    return sums


def rows_of(visit: Visit, wanted: Asked) -> QuerySet[UsageHour]:
    """The hours of these workspaces in the span, narrowed by the filters; unknown names find nothing."""
    return _narrowed(visit, wanted, UsageHour.objects.all())


def _narrowed(visit: Visit, wanted: Asked, rows: QuerySet[Hours]) -> QuerySet[Hours]:
    rows = rows.filter(hour__gte=wanted.span.begin, hour__lt=wanted.span.end)
    if visit.workspace is not None:
        rows = rows.filter(workspace_id=visit.workspace.pk)
    return rows.filter(**{FILTERS[name]: value for name, value in wanted.filters.items()})
