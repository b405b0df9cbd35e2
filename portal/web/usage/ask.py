"""What the address of the page of usage asks for: a span, a sort of subject, a figure, and filters."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from endpoints.services.usage_days import Asking

from ..lists.address import asked
from ..lists.spans import Span, span_of
from ..visit import Visit

SUBJECTS: dict[str, str | Promise] = {
    "model": _("Model"), "endpoint": _("Endpoint"), "place": _("Place"), "key": _("Key"), "member": _("Member"),
    "workspace": _("Workspace"), "day": _("Day"),
}
FIGURES: dict[str, str | Promise] = {"cost": _("Cost"), "tokens": _("Tokens"), "requests": _("Requests")}
FILTERS = {"model": "model_name", "endpoint": "endpoint_name", "key": "key_name", "member": "member_name"}


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


def title_of(subject: str, span: Span) -> str | Promise:
    """A long span has months in place of days."""
    return _("Month") if subject == "day" and span.is_long else SUBJECTS[subject]


def asking(visit: Visit, wanted: Asked, *, by_month: bool = False) -> Asking:
    """The same for the service: unknown names find nothing."""
    return Asking(visit.workspace.pk if visit.workspace else None, wanted.span.first, wanted.span.last, wanted.grouped_by,
                  {FILTERS[name]: value for name, value in wanted.filters.items()}, by_month)
