from __future__ import annotations

import shlex
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from clusters import services
from clusters.models import Cluster, Host
from clusters.states import KUBERNETES_KINDS, ClusterKind, HostState, Reach
from portal.tenancy.adminkit import (
    ConfirmForm,
    PortalAdmin,
    WorkspaceFilter,
    actor_of,
    confirmed,
    is_operator,
    sheet,
    shown_once,
    status_badge,
)
from portal.tenancy.errors import PortalError

from . import aws_places, kubernetes
from .aws_import import ImportPage
from .figures import cpu_cell, gpu_cell, memory_cell, places_with_capacity
from .nodes import MachineInline, NodeInline


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


def agent_install_command() -> str:
    """What puts the agent into a cluster; the token is typed in, since arguments can be read by other users."""
    return (f"read -rs TOKEN && curl -fsS -H @- {shlex.quote(settings.PORTAL_URL + '/agent/v1/cluster/manifest')}"
            ' <<< "Authorization: Bearer $TOKEN" | kubectl apply -f -')


@admin.register(Cluster)
class ClusterAdmin(ImportPage, PortalAdmin):
    form = aws_places.AwsPlaceForm
    list_display = ("name", "kind", "workspace", "connection", "hosts", "cpu", "memory", "gpu_memory", "looked_at")
    list_filter = ("kind", WorkspaceFilter, "paused")
    list_select_related = ("workspace", "access", "aws__account")
    actions_list = ("import_hyperpod",)
    search_fields = ("name", "description")
    autocomplete_fields = ("workspace",)
    ordering = ("name",)
    base = (None, {"fields": ("name", "kind", "workspace", "description", "paused")})
    capacity = ("hosts", "cpu"), ("memory", "gpu_memory")
    seen = ("hosts", "cpu", "memory", "gpu_memory", "message", *kubernetes.FOUND, *aws_places.FOUND)
    # Of rooms above, which add theirs; shown on places with a Kubernetes API.
    more_inlines: ClassVar[list[Any]] = []
    actions_detail = ("add_host", "add_agent", "test_connection", "refresh", "resize", "forget")

    def get_fieldsets(self, request: HttpRequest, obj: Cluster | None = None) -> Any:
        folded = obj is not None and kubernetes.access_of(obj) is not None
        entry = (gettext_lazy("Kubernetes connection"), {
            "fields": kubernetes.CONNECTION, "classes": ("of-kubernetes", *(("collapse",) if folded else ()))})
        aws = aws_places.fieldsets_of(obj)
        if obj is None:
            return (None, {"fields": ("name", "kind", "workspace", "description", "kinds")}), *aws, entry
        if obj.kind == ClusterKind.HOSTS:
            return self.base, (gettext_lazy("What is there"), {"fields": (*self.capacity, "message")})
        operates = is_operator(request)
        aws = aws if operates else ()
        side = aws_places.found_in(obj, operates=operates)
        if obj.kind not in KUBERNETES_KINDS:
            return self.base, *side, *aws
        rights = ("rights",) if operates or not side else ()  # the way into EKS names the portal's role
        found = {"fields": ("connected", ("kubernetes_version", "cpu"), *self.capacity[1:], "capabilities", *rights)}
        own = (entry,) if kubernetes.CONNECTION[0] in aws_places.fields_of(obj) else ()
        return (self.base, *side, (gettext_lazy("What is there"), found), *own, *aws,
                (gettext_lazy("How it is used"), {"fields": kubernetes.CHOICES}))

    def get_urls(self) -> list[Any]:
        own = path("rights.yaml", self.admin_site.admin_view(self.rights_manifest), name="clusters_cluster_rights")
        return [own, *super().get_urls()]

    def rights_manifest(self, request: HttpRequest) -> HttpResponse:
        """The roles and the account that the portal needs, for kubectl; no secret is in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return kubernetes.manifest_response(eks="eks" in request.GET)

    def get_queryset(self, request: HttpRequest) -> Any:
        return places_with_capacity(super().get_queryset(request)).annotate(
            n_hosts=hosts_count(), n_ready=hosts_count(state=HostState.READY))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "kind", *self.seen) if obj else ("kinds",)

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        if obj is None:
            return []
        if obj.kind == ClusterKind.SAGEMAKER:
            return []
        nodes = MachineInline if aws_places.side_of(obj) else NodeInline
        return [nodes, *(self.more_inlines if obj.kind in KUBERNETES_KINDS else ())]

    # A shared place is everybody's: only operators write here, whatever single rights a member of staff has.

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only one at a time, and only an empty place: its hosts would lose their home without a word."""
        if obj is None or not is_operator(request) or not super().has_delete_permission(request, obj):
            return False
        return services.is_empty(obj)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.find_row(request, str(object_id))
        names = kubernetes.action_names(row) if row else ()
        return [action for action in super().get_actions_detail(request, object_id)
                if action.method.original_function_name in names]

    def save_model(self, request: HttpRequest, obj: Cluster, form: Any, change: bool) -> None:
        services.put_place(actor_of(request), obj)
        kubernetes.save_connection(request, obj, form)
        aws_places.save_side(request, obj, form)

    def delete_model(self, request: HttpRequest, obj: Cluster) -> None:
        services.delete_place(actor_of(request), obj)

    @admin.display(description=gettext_lazy("hosts ready"))
    def hosts(self, row: Any) -> str:
        if not row.n_hosts:
            return "–"
        return _("%(ready)d of %(all)d") % {"ready": row.n_ready or 0, "all": row.n_hosts}

    @admin.display(description=gettext_lazy("connection"), ordering="access__reach")
    def connection(self, row: Cluster) -> SafeString | str:
        return aws_places.connections_cell(row)

    @admin.display(description=gettext_lazy("connection"))
    def connected(self, row: Cluster) -> SafeString | str:
        return kubernetes.connection_cell(row, whole=True)

    @admin.display(description=gettext_lazy("Kubernetes version"))
    def kubernetes_version(self, row: Cluster) -> str:
        return kubernetes.version_cell(row)

    @admin.display(description=gettext_lazy("found there"))
    def capabilities(self, row: Cluster) -> SafeString | str:
        return kubernetes.capabilities_cell(row)

    @admin.display(description=gettext_lazy("missing rights"))
    def rights(self, row: Cluster) -> SafeString | str:
        return kubernetes.rights_cell(row)

    @admin.display(description=gettext_lazy("which kind"))
    def kinds(self, row: Cluster | None = None) -> SafeString:
        return sheet("portal/admin/place_kinds.html")

    @admin.display(description=gettext_lazy("state"))
    def in_aws(self, row: Cluster) -> SafeString | str:
        return aws_places.aws_cell(row)

    @admin.display(description=gettext_lazy("state"))
    def aws_state(self, row: Cluster) -> SafeString | str:
        return aws_places.aws_cell(row, names=False)

    @admin.display(description=gettext_lazy("instance groups"))
    def instance_groups(self, row: Cluster) -> SafeString | str:
        return aws_places.groups_cell(row)

    @admin.display(description=gettext_lazy("features"))
    def features(self, row: Cluster) -> SafeString | str:
        return aws_places.features_cell(row)

    @admin.display(description=gettext_lazy("CPU"), ordering="cpu")
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"), ordering="mem")
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)

    @admin.display(description=gettext_lazy("GPUs"), ordering="gpu_mem")
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


    @confirmed(gettext_lazy("Install an agent in"), permission="clusters.enrol_host", immediate=True, icon="add_circle",
               explain=gettext_lazy("Makes a token that lets one agent join from inside the cluster within 15 minutes. It "
                                    "is shown once."))
    def add_agent(self, request: HttpRequest, row: Cluster) -> HttpResponse:
        token, text = services.make_enrolment_token(actor_of(request), row)
        return shown_once(
            self, request, title=_("Install an agent in %(place)s") % {"place": row.name}, text=text, more=[
                (_("Run this where kubectl reaches the cluster, and paste the token when it waits:"),
                 agent_install_command())],
            hint=_("The token works once, until %(time)s UTC. It is shown now and kept nowhere.") % {
                "time": f"{token.expires_at:%H:%M}"},
            back=reverse("admin:clusters_cluster_change", args=[row.pk]))

    @confirmed(gettext_lazy("Test connection"), permission="change", immediate=True, repeatable=True, icon="network_check",
               explain=gettext_lazy("Asks the place who we are there, what we may do, and which parts it has. "
                                    "Nothing is changed in it."))
    def test_connection(self, request: HttpRequest, row: Cluster) -> None:
        found = services.check_place(actor_of(request), row)
        if found.reach != Reach.OK:
            raise PortalError(f"{found.reach.label}: {found.message}")

    @confirmed(gettext_lazy("Refresh"), permission="change", immediate=True, repeatable=True, icon="refresh",
               explain=gettext_lazy("Looks again at the nodes and at what pods ask of them."))
    def refresh(self, request: HttpRequest, row: Cluster) -> None:
        services.refresh_place(actor_of(request), row)

    @confirmed(gettext_lazy("Resize"), permission="clusters.resize_cluster", immediate=True,
               repeatable=True, form=aws_places.ResizeForm, icon="open_in_full", explain=gettext_lazy(
                   "AWS adds or takes away machines. That takes minutes, and AWS has the last word: the place's page shows "
                   "how far it is."))
    def resize(self, request: HttpRequest, row: Cluster, group: str, count: int, known: bool = False) -> None:
        services.resize(actor_of(request), row, group, count)

    @confirmed(gettext_lazy("Forget"), permission="clusters.delete_cluster", form=kubernetes.ForgetForm, danger=True,
               typed_name=True, immediate=True, icon="delete", explain=gettext_lazy(
                   "For a place that is gone. It and its endpoints leave the portal at once; nothing is deleted over there, "
                   "where nobody answers. Endpoints that go on running there go on costing money."))
    def forget(self, request: HttpRequest, row: Cluster, known: bool) -> None:
        services.forget_place(actor_of(request), row)
