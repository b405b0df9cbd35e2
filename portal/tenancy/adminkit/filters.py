"""Filters whose choices come from the person's scope, never from all tenants' rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib.admin import RelatedOnlyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from ..models import Workspace


class RelatedOnlyFilter(RelatedDropdownFilter, RelatedOnlyFieldListFilter):  # type: ignore[misc]  # unfold has no types
    """A chooser of only those related rows that the list itself has."""


class WorkspaceFilter(DropdownFilter):  # type: ignore[misc]  # unfold has no types
    """By workspace, offering the person's own; cheaper than looking through a big table."""

    title = _("workspace")
    parameter_name = "workspace"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(str(row.pk), row.name) for row in Workspace.objects.all().visible_to(request.user)[:200]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(workspace_id=int(value)) if value.isdecimal() else queryset


class PeriodFilter(DropdownFilter):  # type: ignore[misc]  # unfold has no types
    """By age, on the indexed date `at`."""

    title = _("period")
    parameter_name = "period"
    date_field = "at"
    periods = {"1h": timedelta(hours=1), "1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [("1h", _("last hour")), ("1d", _("last day")), ("7d", _("last 7 days")), ("30d", _("last 30 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        period = self.periods.get(self.value() or "")
        return queryset.filter(**{f"{self.date_field}__gte": timezone.now() - period}) if period else queryset
