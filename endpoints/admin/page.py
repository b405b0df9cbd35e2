from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.models import Cluster
from clusters.states import AWS_KINDS, ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from models_catalog.models import Profile
from portal.tenancy.adminkit import (
    DeletedByAction,
    PortalAdmin,
    RelatedOnlyFilter,
    WorkspaceFilter,
    actor_of,
    adopt,
    age,
)
from portal.tenancy.errors import NotAllowed

from . import cells, detail, live, logs, why
from .actions import EndpointActions
from .forms import EndpointForm
from .options_form import options_answer
from .scaling import ScalingPages

FROZEN = ("workspace", "cluster", "name", "public_name")


class AttentionFilter(admin.SimpleListFilter):
    title = gettext_lazy("needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", gettext_lazy("yes: failed, stalled or degraded"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.needing_attention() if self.value() == "yes" else queryset


@admin.register(Endpoint)
class EndpointAdmin(DeletedByAction, ScalingPages, EndpointActions, PortalAdmin):
    """The list answers what runs where and why not; the add form deploys; the change form wishes something else."""

    form = EndpointForm
    list_display = ("name", "state", "workspace_now", "place", "model_now", "replicas_now", "revision_now", "last_message",
                    "made")
    list_filter = (AttentionFilter, "status", ("cluster", RelatedOnlyFilter), WorkspaceFilter)
    compressed_fields = False
    actions_list = ("import_page",)
    list_before_template = "portal/admin/live_list.html"
    search_fields = ("name", "public_name")
    autocomplete_fields = ("workspace", "cluster")
    ordering = ("-id",)
    add_fieldsets = (
        (gettext_lazy("What"), {"fields": (("workspace", "profile"), ("name", "public_name"))}),
        (gettext_lazy("Where and how much"), {"fields": (("cluster", "replicas"), "affinity")}),
        (gettext_lazy("Options of the place"), {"fields": ("options",)}),
        (gettext_lazy("How"), {"fields": ("arguments", "note", "deploy_now")}),
    )
    fieldsets = (
        (gettext_lazy("What is wished"), {"fields": (
            "read_generation", ("profile", "replicas"), "affinity", "arguments", "note")}),
        (gettext_lazy("Fixed"), {"fields": (("workspace", "cluster"), ("name", "public_name"))}),
    )
    change_form_outer_before_template = "portal/admin/endpoint_head.html"
    change_form_outer_after_template = "portal/admin/endpoint_after.html"

    # The list

    def get_queryset(self, request: HttpRequest) -> Any:
        return cells.with_names(super().get_queryset(request))

    @admin.display(description=gettext_lazy("status"), ordering="status")
    def state(self, row: Endpoint) -> SafeString:
        return cells.live(row, "status")

    @admin.display(description=gettext_lazy("workspace"), ordering="workspace_name")
    def workspace_now(self, row: Any) -> str:
        return str(row.workspace_name)

    @admin.display(description=gettext_lazy("place"), ordering="place_name")
    def place(self, row: Any) -> str:
        return str(row.place_name)

    @admin.display(description=gettext_lazy("model"), ordering="model_name")
    def model_now(self, row: Any) -> str:
        return row.model_name or "–"

    @admin.display(description=gettext_lazy("replicas"), ordering="ready_replicas")
    def replicas_now(self, row: Endpoint) -> SafeString:
        return cells.live(row, "replicas")

    @admin.display(description=gettext_lazy("revision"), ordering="serving_number")
    def revision_now(self, row: Endpoint) -> SafeString:
        return cells.live(row, "revision")

    @admin.display(description=gettext_lazy("last message"))
    def last_message(self, row: Endpoint) -> SafeString:
        return cells.live(row, "message")

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, row: Endpoint) -> SafeString:
        return format_html('<time class="age" datetime="{}">{}</time>', row.created_at.isoformat(), age(row.created_at))

    def row_note(self, row: Any) -> str:
        return f"{row.workspace_name} · {row.place_name} · {row.get_status_display()}"

    # The form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None or obj.cluster.kind not in AWS_KINDS:
            return found
        wished, *fixed = found
        return (wished, (gettext_lazy("Options of the place"), {"fields": ("options",)}), *fixed)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        form.operates = actor_of(request).operates
        if "profile" in form.base_fields:
            form.base_fields["profile"].queryset = Profile.objects.all().visible_to(request.user)
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return FROZEN if obj else ()

    def save_model(self, request: HttpRequest, obj: Endpoint, form: forms.ModelForm[Any], change: bool) -> None:
        if change:
            self._save_wish(request, obj, form)
            return
        said, actor = form.cleaned_data, actor_of(request)
        if said["deploy_now"] and not self.has_deploy_permission(request):
            raise NotAllowed(_("You may make endpoints but not deploy them. Take the tick away."))
        adopt(obj, services.create(
            actor, said["workspace"], name=said["name"], cluster=said["cluster"], profile=said["profile"],
            replicas=said["replicas"], public_name=said["public_name"], arguments=said["arguments"], options=said["options"],
            affinity=said["affinity"], note=said["note"], deploy=said["deploy_now"] and not _is_planned_first(said["cluster"])))

    def response_add(self, request: HttpRequest, obj: Endpoint, post_url_continue: str | None = None) -> HttpResponse:
        """Where others may have changed things meanwhile, the plan comes before the deployment."""
        if "deploy_now" in request.POST and _is_planned_first(obj.cluster):
            return HttpResponseRedirect(reverse("admin:endpoints_endpoint_deploy", args=[obj.pk]))
        answer: HttpResponse = super().response_add(request, obj, post_url_continue)
        return answer

    def _save_wish(self, request: HttpRequest, obj: Endpoint, form: forms.ModelForm[Any]) -> None:
        """What differs becomes a wish; the row is read anew, since the form has written into `obj`."""
        said, actor = form.cleaned_data, actor_of(request)
        row = self.scoped_queryset(request).select_related("workspace", "cluster", "wanted__profile").get(pk=obj.pk)
        expected = said["read_generation"]
        if "replicas" in form.changed_data:
            self._require(request, "scale")
            services.scale(actor, row, said["replicas"], expected_generation=expected)
            expected = row.generation
        if "affinity" in form.changed_data:
            self._require(request, "update")
            services.set_affinity(actor, row, said["affinity"], expected_generation=expected)
            expected = row.generation
        if {"profile", "arguments", "options"} & set(form.changed_data):
            self._require(request, "update")
            services.update(
                actor, row, profile=said["profile"] if "profile" in form.changed_data else None, note=said["note"],
                arguments=_changes(row, said["arguments"]) if "arguments" in form.changed_data else None,
                options=said["options"] if "options" in form.changed_data else None,
                expected_generation=expected)
            row.refresh_from_db()
        adopt(obj, row)

    def _require(self, request: HttpRequest, verb: str) -> None:
        if not getattr(self, f"has_{verb}_permission")(request):
            raise NotAllowed(_("You lack the right to %(verb)s endpoints.") % {"verb": verb})

    # The pages around

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("options/", view(self.options_of), name="endpoints_endpoint_options"),
            path("live/", view(self.live_list), name="endpoints_endpoint_live"),
            path("<int:pk>/live/", view(self.live_detail), name="endpoints_endpoint_live_detail"),
            path("<int:pk>/compare/", view(self.compare), name="endpoints_endpoint_compare"),
            path("<int:pk>/why/", view(self.why), name="endpoints_endpoint_why"),
            path("<int:pk>/log/", view(self.log), name="endpoints_endpoint_log"),
            path("<int:pk>/log/live/", view(self.log_live), name="endpoints_endpoint_log_live"),
            path("<int:pk>/log/text/", view(self.log_text), name="endpoints_endpoint_log_text"),
        ]
        return [*own, *self.scaling_urls(), *super().get_urls()]

    def options_of(self, request: HttpRequest) -> HttpResponse:
        """The fields that a place and a profile bring, for the add page."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return options_answer(request, self.choices_for(request, Cluster))

    def live_list(self, request: HttpRequest) -> HttpResponse:
        return live.answer_list(self, request)

    def live_detail(self, request: HttpRequest, pk: int) -> HttpResponse:
        return live.answer_detail(self, request, pk)

    def compare(self, request: HttpRequest, pk: int) -> HttpResponse:
        return detail.compare(self, request, pk)

    def why(self, request: HttpRequest, pk: int) -> HttpResponse:
        return why.answer(self, request, pk)

    def log(self, request: HttpRequest, pk: int) -> HttpResponse:
        return logs.answer(self, request, pk)

    def log_live(self, request: HttpRequest, pk: int) -> HttpResponse:
        return logs.answer_live(self, request, pk)

    def log_text(self, request: HttpRequest, pk: int) -> HttpResponse:
        return logs.answer_text(self, request, pk)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        more = {**(extra_context or {}), "live_url": reverse("admin:endpoints_endpoint_live")}
        return super().changelist_view(request, more)  # type: ignore[no-any-return]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None,
    ) -> HttpResponse:
        row = self.find_row(request, object_id)
        more = {**(extra_context or {}), **(detail.context(row) if row else {}), "show_save_and_add_another": False}
        return super().change_view(request, object_id, form_url, more)  # type: ignore[no-any-return]


def _is_planned_first(place: Cluster) -> bool:
    return place.kind != ClusterKind.HOSTS


def _changes(row: Endpoint, new: dict[str, Any]) -> dict[str, Any]:
    """The arguments as changes to those of the profile: what was taken out of the form is taken out of the engine."""
    old = row.wanted.spec.get("arguments", {}) if row.wanted else {}
    return {**{name: None for name in old if name not in new}, **new}
