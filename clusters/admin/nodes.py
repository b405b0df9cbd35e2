from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import TabularInline

from clusters import services
from clusters.models import Accelerator, Cluster, Node
from portal.tenancy.adminkit import ViewOnlyAdmin, actor_of, confirmed, status_badge
from portal.tenancy.errors import Conflict

from .aws_places import RepairForm, node_health
from .figures import cpu_cell, gib, gpu_cell, memory_cell, nodes_with_capacity


def repair(request: HttpRequest, row: Node, how: services.Repair) -> None:
    """One machine. Raises PortalError, also where AWS refuses just this one."""
    for answer in services.repair(actor_of(request), row.cluster, [row], how):
        if answer.problem:
            raise Conflict(answer.problem, code="aws_refused")


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
    fields: tuple[str, ...] = ("named", "ready", "cpu", "memory", "gpu_room", "message")
    readonly_fields: tuple[str, ...] = fields
    hide_title = True
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> Any:
        return nodes_with_capacity(Node.objects.filter(cluster__in=Cluster.objects.all().visible_to(request.user)))

    @admin.display(description=gettext_lazy("name"))
    def named(self, row: Node) -> SafeString:
        page = reverse("admin:clusters_node_change", args=[row.pk])
        return format_html('<a class="plain-link" href="{}">{}</a>', page, row.name)

    @admin.display(description=gettext_lazy("CPU"))
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"))
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)

    @admin.display(description=gettext_lazy("GPUs"))
    def gpu_room(self, row: Any) -> SafeString | str:
        return gpu_cell(row)


class MachineInline(NodeInline):
    """The nodes of a HyperPod cluster, with what AWS says of their machines."""

    fields = ("named", "ready", "instance_group", "health", "cpu", "memory", "gpu_room", "message")
    readonly_fields = fields

    @admin.display(description=gettext_lazy("in AWS"))
    def health(self, row: Node) -> SafeString | str:
        return node_health(row.instance_status, row.instance_message)


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
    list_display = ("name", "cluster", "state", "cpu", "memory", "gpu_memory", "gpu_model", "disk", "note")
    list_filter = ("ready", "simulated", ("cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("cluster",)
    search_fields = ("name",)
    ordering = ("cluster", "name")
    fields = ("name", "cluster", "state", "cpu", "memory", "gpu_memory", "gpu_model", "gpus_in_use", "disk", "taint_list",
              "labels", "message")
    readonly_fields = (*fields, "instance_id", "instance_group", "health")
    inlines = (AcceleratorInline,)
    actions = ("reboot", "replace")
    actions_detail = ("reboot", "replace")

    def get_fields(self, request: HttpRequest, obj: Node | None = None) -> Any:
        if obj is None or not obj.instance_id:
            return self.fields
        return (*self.fields[:3], ("instance_id", "instance_group"), "health", *self.fields[3:])

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only machines of AWS can be rebooted and replaced."""
        row = self.find_row(request, str(object_id))
        return super().get_actions_detail(request, object_id) if row and row.instance_id else []

    def row_note(self, row: Node) -> str:
        return " · ".join(filter(None, (str(row.cluster), row.instance_group, row.instance_id, row.instance_status)))

    @confirmed(gettext_lazy("Reboot"), permission="clusters.repair_node", form=RepairForm, repeatable=True,
               icon="restart_alt", explain=gettext_lazy(
                   "AWS restarts the machine cleanly. Its disks stay; whatever runs on it is interrupted for some minutes."))
    def reboot(self, request: HttpRequest, row: Node, known: bool) -> None:
        repair(request, row, services.Repair.REBOOT)

    @confirmed(gettext_lazy("Replace"), permission="clusters.repair_node", form=RepairForm, repeatable=True, danger=True,
               typed_name=True, icon="swap_horiz", explain=gettext_lazy(
                   "AWS ends the machine and starts another one of the same kind. Everything on its disks is lost for "
                   "good, such as weights that were cached there."))
    def replace(self, request: HttpRequest, row: Node, known: bool) -> None:
        repair(request, row, services.Repair.REPLACE)

    @admin.display(description=gettext_lazy("in AWS"), ordering="instance_status")
    def health(self, row: Node) -> SafeString | str:
        return node_health(row.instance_status, row.instance_message)

    def get_queryset(self, request: HttpRequest) -> Any:
        first = Accelerator.objects.filter(node=OuterRef("pk")).order_by("index").values("model")[:1]
        return nodes_with_capacity(super().get_queryset(request)).annotate(model=Subquery(first))

    @admin.display(description=gettext_lazy("state"), ordering="ready")
    def state(self, row: Node) -> SafeString:
        if row.instance_id and not row.has_joined:
            return status_badge(row.instance_status or _("not in the cluster"), "late")
        if not row.ready:
            return status_badge(_("not ready"), "bad")
        return status_badge(_("ready"), "good") if row.schedulable else status_badge(_("takes no new pods"), "warn")

    @admin.display(description=gettext_lazy("CPU"), ordering="cpu_millis")
    def cpu(self, row: Any) -> SafeString | str:
        return cpu_cell(row)

    @admin.display(description=gettext_lazy("memory"), ordering="memory_bytes")
    def memory(self, row: Any) -> SafeString | str:
        return memory_cell(row)

    @admin.display(description=gettext_lazy("GPUs"), ordering="gpu_mem")
    def gpu_memory(self, row: Any) -> SafeString | str:
        return gpu_cell(row)

    @admin.display(description=gettext_lazy("GPU model"))
    def gpu_model(self, row: Any) -> SafeString | str:
        if row.simulated:
            return status_badge(_("simulated"), "warn", note=row.model or "")
        return row.model or "–"

    @admin.display(description=gettext_lazy("GPUs asked for"))
    def gpus_in_use(self, row: Node) -> str:
        others = max(0, row.gpus_requested - row.gpus_requested_by_us)
        return _("%(ours)d by endpoints, %(others)d by others") % {"ours": row.gpus_requested_by_us, "others": others}

    @admin.display(description=gettext_lazy("taints"))
    def taint_list(self, row: Node) -> str:
        return ", ".join(f"{taint.get('key')}={taint.get('value', '')}:{taint.get('effect')}" for taint in row.taints) or "–"

    @admin.display(description=gettext_lazy("disk free"), ordering="disk_free_bytes")
    def disk(self, row: Node) -> str:
        if not row.disk_bytes:
            return "–"
        return _("%(free)s of %(total)s") % {"free": gib(row.disk_free_bytes), "total": gib(row.disk_bytes)}

    @admin.display(description=gettext_lazy("message"))
    def note(self, row: Node) -> str:
        return row.message[:120]
