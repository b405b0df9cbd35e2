from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.views import ChangeList as UnfoldChangeList

from endpoints.models import Canary, CanaryState, Endpoint, Route, TargetRole
from endpoints.services import routes as services
from endpoints.services.route_picture import WINDOW_MINUTES, picture
from endpoints.services.route_traffic import counted, total
from endpoints.services.route_wish import RouteWish, Share
from portal.tenancy.adminkit import DeletedByAction, PortalAdmin, WorkspaceFilter, actor_of, adopt, confirmed
from portal.tenancy.text import clean

from . import route_cells as cells
from .forms import GenerationForm
from .route_forms import CanaryForm, RestoreForm, RouteForm, TargetInline

CHANGES = 20
MOST = 100
# What can't be done while there is no canary, or one in this state.
IDLE: dict[str | None, set[str]] = {
    None: {"promote", "return_canary", "resume_canary", "end_canary"}, CanaryState.RUNNING: {"resume_canary"},
    CanaryState.RETURNED: {"return_canary"}}
VERBS = ("start_canary", "promote", "return_canary", "resume_canary", "end_canary", "restore", "remove")


class RouteActions:
    """The verbs on the list and on the detail page."""

    actions = VERBS
    actions_detail = (
        *VERBS[:4], {"title": _("More"), "icon": "more_horiz", "method_name": "more", "items": list(VERBS[4:])},
    )

    @confirmed(_("Start canary"), permission="change", form=CanaryForm, immediate=True, icon="science", explain=_(
        "An endpoint gets a small share of the calls on trial. When a limit is broken it returns to 0 % by itself."))
    def start_canary(self, request: HttpRequest, row: Route, *, endpoint: Endpoint, generation: int | None = None,
                     **values: Any) -> None:
        services.start_canary(actor_of(request), row, endpoint, expected_generation=generation, **values)

    @confirmed(_("Promote"), permission="change", form=GenerationForm, immediate=True, icon="trending_up", explain=_(
        "The endpoint on trial takes all calls. Those that had them before stand in, should it not be ready."))
    def promote(self, request: HttpRequest, row: Route, generation: int | None = None) -> None:
        services.promote(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Return"), permission="change", form=GenerationForm, immediate=True, icon="undo", explain=_(
        "The endpoint on trial gets no new calls from now on. Calls on their way end there."))
    def return_canary(self, request: HttpRequest, row: Route, generation: int | None = None) -> None:
        services.return_canary(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Resume canary"), permission="change", form=GenerationForm, immediate=True, icon="play_arrow", explain=_(
        "The returned endpoint gets its share again. What it did before does not count any more."))
    def resume_canary(self, request: HttpRequest, row: Route, generation: int | None = None) -> None:
        services.resume_canary(actor_of(request), row, expected_generation=generation)

    @confirmed(_("End canary"), permission="change", form=GenerationForm, immediate=True, icon="science_off", explain=_(
        "The endpoint on trial leaves the route; it goes on running."))
    def end_canary(self, request: HttpRequest, row: Route, generation: int | None = None) -> None:
        services.end_canary(actor_of(request), row, expected_generation=generation)

    @confirmed(_("Restore"), permission="change", form=RestoreForm, immediate=True, icon="history", explain=_(
        "The route becomes again what it was in an earlier version: names, shares, those that stand in, and its canary."))
    def restore(self, request: HttpRequest, row: Route, version: int, generation: int | None = None) -> None:
        services.restore_route(actor_of(request), row, version, expected_generation=generation)

    @confirmed(_("Delete"), permission="delete", form=GenerationForm, danger=True, typed_name=True, immediate=True,
               icon="delete", explain=_("Calls for this name are refused from now on, unless an endpoint has it itself. The "
                                        "endpoints and the audit stay."))
    def remove(self, request: HttpRequest, row: Route, generation: int | None = None) -> None:
        services.delete_route(actor_of(request), row, expected_generation=generation)


class RouteList(UnfoldChangeList):  # type: ignore[misc]  # unfold has no types
    """Reads what the shown rows have counted in one query."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = with_samples(list(self.result_list))


def with_samples(rows: list[Any]) -> list[Any]:
    """Each row with what its calls did lately, as `sample`."""
    seen = counted([row.pk for row in rows], timezone.now() - timedelta(minutes=WINDOW_MINUTES))
    for row in rows:
        row.sample = total(one.sample for one in seen if one.route_id == row.pk)
    return rows


@admin.register(Route)
class RouteAdmin(DeletedByAction, RouteActions, PortalAdmin):
    """Model names of callers that lead to endpoints: who gets how much, and what that does to errors and latency."""

    form = RouteForm
    inlines = (TargetInline,)
    list_display = ("public_name", "workspace", "shares_now", "canary_now", "calls_now", "is_sticky", "description")
    list_filter = ("canary__state", WorkspaceFilter)
    list_select_related = ("workspace", "canary__endpoint")
    list_before_template = "portal/admin/live_list.html"
    search_fields = ("public_key", "description")
    autocomplete_fields = ("workspace",)
    ordering = ("-id",)
    compressed_fields = False
    add_fieldsets = ((None, {"fields": (("workspace", "endpoint"), ("public_name", "is_sticky"), "description")}),)
    fieldsets = (
        (_("What is wished"), {"fields": ("read_generation", ("public_name", "workspace"), ("description", "is_sticky"))}),
    )
    change_form_outer_before_template = "portal/admin/route_head.html"
    change_form_outer_after_template = "portal/admin/route_after.html"

    # The list

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("targets__endpoint")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RouteList

    @admin.display(description=_("shares"))
    def shares_now(self, row: Route) -> SafeString:
        return cells.live(row, "shares")

    @admin.display(description=_("canary"))
    def canary_now(self, row: Route) -> SafeString:
        return cells.live(row, "state")

    @admin.display(description=_("calls in 5 min"))
    def calls_now(self, row: Route) -> SafeString:
        return cells.live(row, "figures")

    def row_note(self, row: Route) -> str:
        return f"{row.workspace} · v{row.generation}"

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Route | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_inlines(self, request: HttpRequest, obj: Route | None) -> Any:
        return self.inlines if obj else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Route | None = None) -> tuple[str, ...]:
        return ("workspace",) if obj else ()

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if "endpoint" in form.base_fields:
            form.base_fields["endpoint"].queryset = self.choices_for(request, Endpoint)
        return form

    def save_model(self, request: HttpRequest, obj: Route, form: Any, change: bool) -> None:
        """A new route is written at once; a change with the endpoints below, as one wish."""
        if change:
            return
        said = form.cleaned_data
        wish = RouteWish(said["public_name"], (Share(said["endpoint"]),), is_sticky=said["is_sticky"],
                         description=said["description"])
        adopt(obj, services.create_route(actor_of(request), said["workspace"], wish))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        if not change:
            return
        said, changed = form.cleaned_data, set(form.changed_data) - {"read_generation"}
        values = {name: said[name] for name in ("public_name", "is_sticky", "description") if name in changed}
        if any(formset.has_changed() for formset in formsets):
            values |= _parts([one for formset in formsets for one in formset.cleaned_data if one and not one.get("DELETE")])
        if values:
            row = self.scoped_queryset(request).select_related("workspace").get(pk=form.instance.pk)
            adopt(form.instance, services.change_route(actor_of(request), row, expected_generation=said["read_generation"],
                                                       **values))

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> list[Any]:
        """The audit is the history; the formsets were never saved as such."""
        return []

    def response_add(self, request: HttpRequest, obj: Route, post_url_continue: str | None = None) -> HttpResponse:
        """On to the page where other endpoints get their shares."""
        super().response_add(request, obj, post_url_continue)  # says what was made
        return HttpResponseRedirect(reverse("admin:endpoints_route_change", args=[obj.pk]))

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Without what makes no sense in the canary's state."""
        known = Canary.objects.filter(route=object_id) if str(object_id).isdecimal() else Canary.objects.none()
        idle = IDLE[known.values_list("state", flat=True).first()]
        return [one for one in super().get_actions_detail(request, object_id)
                if one.action_name.removeprefix("endpoints_route_") not in idle]

    # The pages around

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [path("live/", view(self.live_list), name="endpoints_route_live"),
                path("<int:pk>/live/", view(self.live_detail), name="endpoints_route_live_detail"), *super().get_urls()]

    def live_list(self, request: HttpRequest) -> HttpResponse:
        """The moving cells of the rows in ``?ids=``; ids of others are simply not in the answer."""
        self._require_view(request)
        ids = [int(text) for text in request.GET.get("ids", "").split(",")[:MOST] if text.isdecimal() and len(text) < 19]
        rows = with_samples(list(self.get_queryset(request).select_related("canary__endpoint").filter(pk__in=ids)))
        return _answer({str(row.pk): {name: make(row) for name, make in cells.PARTS.items()} for row in rows})

    def live_detail(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._require_view(request)
        row = self.scoped_queryset(request).select_related("workspace").filter(pk=pk).first()
        if row is None:
            raise Http404
        return _answer({str(pk): cells.parts(row, picture(row))})

    def _require_view(self, request: HttpRequest) -> None:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        more = {**(extra_context or {}), "live_url": reverse("admin:endpoints_route_live")}
        return super().changelist_view(request, more)  # type: ignore[no-any-return]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        row = self.find_row(request, object_id)
        more = {**(extra_context or {}), **(_around(row) if row else {}), "show_save_and_add_another": False}
        return super().change_view(request, object_id, form_url, more)  # type: ignore[no-any-return]


def _around(row: Route) -> dict[str, Any]:
    changes = list(row.changes.all()[:CHANGES])
    for change in changes:
        change.message, change.actor_label = clean(change.message, 1000), clean(change.actor_label, 200)
    return {"route": row, "parts": cells.parts(row, picture(row)), "changes": changes, "curl": cells.curl(row)}


def _parts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The lists of a wish, in the order of the rows."""
    rows = sorted(rows, key=lambda row: math.inf if row["position"] is None else row["position"])
    return {"mains": tuple(Share(row["endpoint"], row["weight"]) for row in rows if row["role"] == TargetRole.MAIN),
            "fallbacks": tuple(row["endpoint"] for row in rows if row["role"] == TargetRole.FALLBACK)}


def _answer(parts: dict[str, Any]) -> HttpResponse:
    """Routes are never settled: calls come all the time."""
    response = JsonResponse({"settled": False, "parts": parts})
    response["Cache-Control"] = "no-store"
    return response
