"""What was used, hour by hour, with a picture of it by day and a table for spreadsheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.instances import price_book
from endpoints.alerts import month_of
from endpoints.models import GpuHour, UsageHour
from endpoints.services import usage
from portal.tenancy.adminkit import PeriodFilter, ViewOnlyAdmin, WorkspaceFilter
from portal.tenancy.errors import Invalid
from portal.tenancy.models import User, Workspace

from .route_drawing import STEP, TALL, bars, scale

CSV_GROUPS = ("day", "workspace", "model", "endpoint", "key", "member", "address")
MOST_SHARES = 5


class UsagePeriod(PeriodFilter):
    """Without a choice the last 30 days, so that a page never sums up a year unasked."""

    date_field = "hour"
    all_option = ("", gettext_lazy("last 30 days"))
    periods = {"1d": timedelta(days=1), "7d": timedelta(days=7), "90d": timedelta(days=90),
               "all": timedelta(days=usage.KEPT_DAYS)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("1d", _("last day")), ("7d", _("last 7 days")), ("month", _("this month")), ("90d", _("last 90 days")),
                ("all", _("all that is kept"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now, chosen = timezone.now(), self.value() or ""
        begin = month_of(now) if chosen == "month" else now - self.periods.get(chosen, timedelta(days=30))
        return queryset.filter(hour__gte=begin)


@dataclass(frozen=True)
class Chart:
    """One figure over the days: its sum, its bars, and how high the axis goes."""

    label: str
    value: str
    bars: str
    most: str
    colour: int


@admin.register(UsageHour)
class UsageHourAdmin(ViewOnlyAdmin):
    list_display = ("hour_shown", "workspace_name", "model_name", "endpoint_name", "key_name", "member_name", "requests",
                    "errors", "refused", "prompt_tokens", "completion_tokens", "cost_shown")
    list_filter = (UsagePeriod, WorkspaceFilter)
    search_fields = ("=model_name", "=endpoint_name", "=key_name", "=member_name")
    search_help_text = gettext_lazy("The whole name of a model, an endpoint, a key or a person.")
    ordering = ("-hour", "-id")
    list_before_template = "portal/admin/usage_panel.html"
    fields = ("hour", ("workspace_name", "member_name", "key_name"), ("model_name", "endpoint_name", "address"),
              ("requests", "errors", "refused", "partial"), ("prompt_tokens", "completion_tokens", "cached_tokens"),
              "cost_shown")
    readonly_fields = ("hour", "workspace_name", "member_name", "key_name", "model_name", "endpoint_name", "address",
                       "requests", "errors", "refused", "partial", "prompt_tokens", "completion_tokens", "cached_tokens",
                       "cost_shown")

    @admin.display(description=gettext_lazy("hour (UTC)"), ordering="hour")
    def hour_shown(self, row: UsageHour) -> str:
        return f"{row.hour.astimezone(UTC):%Y-%m-%d %H:%M}"

    @admin.display(description=gettext_lazy("cost"), ordering="cost_nano")
    def cost_shown(self, row: UsageHour) -> str:
        return money(row.cost_nano)

    @admin.display(description=gettext_lazy("address"))
    def address(self, row: UsageHour) -> str:
        return usage.ADDRESSES.get(row.door, "")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.csv_view)
        return [path("csv/", view, name="endpoints_usagehour_csv"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, below the sums of all that its filters let through."""
        answer = super().changelist_view(request, extra_context)
        context = getattr(answer, "context_data", None)
        if context and "cl" in context:
            context.update(panel(context["cl"].queryset, gpus_of(request, context["cl"])))
            query = request.GET.urlencode()
            context["csv_url"] = reverse("admin:endpoints_usagehour_csv") + (f"?{query}" if query else "")
        return answer  # type: ignore[no-any-return]

    def csv_view(self, request: HttpRequest) -> HttpResponse:
        """What the list shows with the same filters, by day; GPU hours have lines of their own."""
        if not self.has_view_permission(request):
            return redirect("admin:index")
        shown = self.get_changelist_instance(request)
        try:
            lines = [*usage.usage_by(shown.queryset, CSV_GROUPS), *_gpu_lines(gpus_of(request, shown))]
        except Invalid as error:
            messages.error(request, error.message)
            return redirect(f"{reverse('admin:endpoints_usagehour_changelist')}?{request.GET.urlencode()}")
        text = usage.as_csv(CSV_GROUPS, lines, has_gpus=True)
        answer = HttpResponse(text, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = 'attachment; filename="usage.csv"'
        return answer


def gpus_of(request: HttpRequest, shown: Any) -> QuerySet[GpuHour] | None:
    """GPU hours behind the same filters; None where the search is for a key or a person, to whom no GPUs belong."""
    rows: QuerySet[GpuHour] = GpuHour.objects.all()
    user = request.user
    if not (isinstance(user, User) and user.sees_everything):
        rows = rows.filter(workspace_id__in=Workspace.objects.visible_to(user).values("pk"))
    for each in shown.filter_specs:
        rows = each.queryset(request, rows)
    if not shown.query:
        return rows
    named = rows.filter(Q(model_name=shown.query) | Q(endpoint_name=shown.query))
    return named if named.exists() else None


def _gpu_lines(gpus: QuerySet[GpuHour] | None) -> list[usage.Line]:
    """As lines of the table, without a key, a member and an address."""
    groups = [group for group in CSV_GROUPS if group not in usage.NOT_OF_GPUS]
    found = usage.usage_by(UsageHour.objects.none(), groups, gpus)
    return [usage.Line([*line.names, *[""] * len(usage.NOT_OF_GPUS)], line.counts, line.gpu_seconds) for line in found]


def panel(rows: QuerySet[UsageHour], gpus: QuerySet[GpuHour] | None) -> dict[str, Any]:
    """Sums by day, as charts, and of the models that were used most."""
    held = [] if gpus is None else usage.gpu_seconds(gpus)
    used = _with_gpus(usage.usage_by(rows, ["day"]), [(day, seconds) for day, _model, seconds in held])
    by_day = {date.fromisoformat(line.names[0]): line for line in used}
    days = _days(by_day)
    lines = [by_day.get(day, usage.Line()) for day in days]
    total = usage.Line()
    for line in lines:
        total.add(line)
    models = sorted(_with_gpus(usage.usage_by(rows, ["model"]), [(model, seconds) for _day, model, seconds in held]),
                    key=lambda line: (line.of("cost_nano"), _tokens(line), line.of("requests"), line.gpu_seconds), reverse=True)
    return {
        "charts": _charts(lines, total, has_gpus=gpus is not None) if lines else [], "wide": STEP * len(days), "tall": TALL,
        "total": total if lines else None, "first": days[0] if days else None, "last": days[-1] if days else None,
        "currency": price_book().currency,
        "models": [(line.names[0] or "–", _number(line.of("requests")), _number(_tokens(line)), money(line.of("cost_nano")),
                    _hours(line) if gpus is not None else "–") for line in models[:MOST_SHARES]]}


def _with_gpus(lines: Sequence[usage.Line], held: Iterable[tuple[str, int]]) -> list[usage.Line]:
    """The lines with the GPU seconds of their names, and lines for what held GPUs and was not called."""
    named = {line.names[0]: line for line in lines}
    for name, seconds in held:
        named.setdefault(name, usage.Line([name])).gpu_seconds += seconds
    return list(named.values())


def _days(used: dict[date, usage.Line]) -> list[date]:
    """From the first day with usage until today, none left out."""
    if not used:
        return []
    first, last = min(used), max([*used, datetime.now(UTC).date()])
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _charts(lines: Sequence[usage.Line], total: usage.Line, *, has_gpus: bool) -> list[Chart]:
    def chart(label: str, colour: int, value: str, per_day: list[float], shown: Any = None) -> Chart:
        most = scale(per_day, 1e-3)
        return Chart(label, value, bars([one or None for one in per_day], most), (shown or _number)(most), colour)

    drawn = [
        chart(_("requests"), 1, _number(total.of("requests")), [line.of("requests") for line in lines]),
        chart(_("tokens in"), 2, _number(total.of("prompt_tokens")), [line.of("prompt_tokens") for line in lines]),
        chart(_("tokens out"), 3, _number(total.of("completion_tokens")), [line.of("completion_tokens") for line in lines]),
        chart(_("cost"), 4, money(total.of("cost_nano")), [float(line.cost) for line in lines], lambda most: f"{most:,g}"),
    ]
    if has_gpus:
        drawn.append(chart(_("GPU hours"), 5, _hours(total), [line.gpu_seconds / 3600 for line in lines],
                           lambda most: f"{most:,g}"))
    return drawn


def _hours(line: usage.Line) -> str:
    return f"{line.gpu_seconds / 3600:,.1f}"


def _tokens(line: usage.Line) -> int:
    return line.of("prompt_tokens") + line.of("completion_tokens")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or not value else f"{value:g}"


def money(nano: int) -> str:
    """Two digits after the point, and more where the amount is small."""
    amount = usage.cost_of(nano)
    return f"{amount:,.2f}" if amount >= 10 or not amount else f"{amount:,.4f}"
