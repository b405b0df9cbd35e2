from __future__ import annotations

import shlex
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminTextInputWidget

from clusters import services
from clusters.models import Accelerator, Cluster, Host, Node
from clusters.states import ClusterKind, HostState
from portal.tenancy.adminkit import (
    ConfirmForm,
    PortalAdmin,
    ViewOnlyAdmin,
    WorkspaceFilter,
    actor_of,
    confirmed,
    is_operator,
    shown_once,
    status_badge,
)

from .figures import cpu_cell, gib, gpu_cell, memory_cell, nodes_with_capacity, places_with_capacity


class ReadOnlyInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    """Rows that belong to the page's object and are written by the portal."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NodeInline(ReadOnlyInline):
    model = Node
    fields = ("name", "ready", "cpu", "memory", "message")
    readonly_fields = fields
    show_change_link = True
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> Any:
        return nodes_with_capacity(Node.objects.filter(cluster__in=Cluster.objects.all().visible_to(request.user)))

    @admin.display(description=gettext_lazy("CPU"))
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)


class AddHostForm(ConfirmForm):
    address = forms.CharField(
        label=gettext_lazy("Address"), required=False, widget=UnfoldAdminTextInputWidget(),
        help_text=gettext_lazy("Where the gateway reaches the host; empty takes the address that its agent calls from."))


def hosts_count(**only: str) -> Subquery:
    rows = Host.objects.filter(node__cluster=OuterRef("pk"), **only).order_by().values("node__cluster")
    return Subquery(rows.annotate(n=Count("pk")).values("n"), output_field=IntegerField())


def agent_command() -> str:
    """What starts the agent on a new host; the token is typed in, since arguments can be read by other users."""
    return (f"read -rs PORTAL_AGENT_TOKEN && export PORTAL_AGENT_TOKEN && python3 -m clusters.agent"
            f" --server {shlex.quote(settings.PORTAL_URL)} --state-dir ~/.portal-agent --engines-dir ~/engines")


@admin.register(Cluster)
class ClusterAdmin(PortalAdmin):
    list_display = ("name", "kind", "workspace", "hosts", "cpu", "memory", "gpu_memory", "looked_at")
    list_filter = ("kind", WorkspaceFilter, "paused")
    list_select_related = ("workspace",)
    search_fields = ("name", "description")
    autocomplete_fields = ("workspace",)
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "kind", "workspace", "description", "paused")}),
        (gettext_lazy("What is there"), {"fields": (("hosts", "cpu"), ("memory", "gpu_memory"), "message")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "kind", "workspace", "description")}),)
    seen = ("hosts", "cpu", "memory", "gpu_memory", "message")
    actions_detail = ("add_host",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return places_with_capacity(super().get_queryset(request)).annotate(
            n_hosts=hosts_count(), n_ready=hosts_count(state=HostState.READY))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "kind", *self.seen) if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [NodeInline] if obj else []

    # A shared place is everybody's: only operators write here, whatever single rights a member of staff has.

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only one at a time, and only an empty place: its hosts would lose their home without a word."""
        if obj is None or not is_operator(request) or not super().has_delete_permission(request, obj):
            return False
        return not obj.nodes.exists() and not obj.endpoints.exists()

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.find_row(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row and row.kind == ClusterKind.HOSTS else []

    def save_model(self, request: HttpRequest, obj: Cluster, form: Any, change: bool) -> None:
        services.put_place(actor_of(request), obj)

    def delete_model(self, request: HttpRequest, obj: Cluster) -> None:
        services.delete_place(actor_of(request), obj)

    @admin.display(description=gettext_lazy("hosts ready"))
    def hosts(self, row: Any) -> str:
        if not row.n_hosts:
            return "–"
        return _("%(ready)d of %(all)d") % {"ready": row.n_ready or 0, "all": row.n_hosts}

    @admin.display(description=gettext_lazy("CPU"), ordering="cpu")
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"), ordering="mem")
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)

    @admin.display(description=gettext_lazy("GPU memory"), ordering="gpu_mem")
    def gpu_memory(self, row: Any) -> SafeString | str:
        return gpu_cell(row)

    @admin.display(description=gettext_lazy("looked at"), ordering="seen_at")
    def looked_at(self, row: Cluster) -> SafeString | str:
        if row.paused:
            return status_badge(_("takes nothing new"), "warn", seen=row.seen_at)
        return status_badge(_("seen"), "good", seen=row.seen_at) if row.seen_at else "–"

    @confirmed(gettext_lazy("Add a host to"), permission="clusters.enrol_host", form=AddHostForm, immediate=True,
               icon="add_circle", explain=gettext_lazy(
                   "Makes a token that lets one agent join this place within 15 minutes. It is shown once."))
    def add_host(self, request: HttpRequest, row: Cluster, address: str = "") -> HttpResponse:
        token, text = services.make_enrolment_token(actor_of(request), row, address=address)
        return shown_once(
            self, request, title=_("Add a host to %(place)s") % {"place": row.name}, text=text, more=[
                (_("Run this on the host, in a folder with the agent, and paste the token when it waits:"),
                 agent_command())],
            hint=_("The token works once, until %(time)s UTC. It is shown now and kept nowhere.") % {
                "time": f"{token.expires_at:%H:%M}"},
            back=reverse("admin:clusters_cluster_change", args=[row.pk]))


class AcceleratorInline(ReadOnlyInline):
    model = Accelerator
    fields = ("index", "model", "memory", "others", "device_uuid", "simulated")
    readonly_fields = fields
    ordering = ("index",)

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, row: Accelerator) -> str:
        return gib(row.memory_bytes)

    @admin.display(description=gettext_lazy("used by others"))
    def others(self, row: Accelerator) -> str:
        return gib(row.used_by_others)


@admin.register(Node)
class NodeAdmin(ViewOnlyAdmin):
    scope_path = "cluster"
    list_display = ("name", "cluster", "state", "cpu", "memory", "gpu_memory", "disk", "note")
    list_filter = ("ready", ("cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("cluster",)
    search_fields = ("name",)
    ordering = ("cluster", "name")
    fields = ("name", "cluster", "state", "cpu", "memory", "gpu_memory", "disk", "labels", "message")
    readonly_fields = fields
    inlines = (AcceleratorInline,)

    def get_queryset(self, request: HttpRequest) -> Any:
        return nodes_with_capacity(super().get_queryset(request))

    @admin.display(description=gettext_lazy("state"), ordering="ready")
    def state(self, row: Node) -> SafeString:
        return status_badge(_("ready"), "good") if row.ready else status_badge(_("not ready"), "bad")

    @admin.display(description=gettext_lazy("CPU"), ordering="cpu_millis")
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"), ordering="memory_bytes")
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)

    @admin.display(description=gettext_lazy("GPU memory"), ordering="gpu_mem")
    def gpu_memory(self, row: Any) -> SafeString | str:
        return gpu_cell(row)

    @admin.display(description=gettext_lazy("disk free"), ordering="disk_free_bytes")
    def disk(self, row: Node) -> str:
        return _("%(free)s of %(total)s") % {"free": gib(row.disk_free_bytes), "total": gib(row.disk_bytes)}

    @admin.display(description=gettext_lazy("message"))
    def note(self, row: Node) -> str:
        return row.message[:120]
