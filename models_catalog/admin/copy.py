"""Copies of models in clusters: how far each is, and what to do about it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.admin.nodes import ReadOnlyInline
from clusters.admin.places import ClusterAdmin
from models_catalog import services
from models_catalog.models import ModelCopy
from models_catalog.numbers import memory
from models_catalog.states import COLOURS, MOVING, STALE_AFTER, CopyMethod, CopyState
from portal.tenancy.adminkit import (
    PortalAdmin,
    RelatedOnlyFilter,
    WorkspaceFilter,
    actor_of,
    adopt,
    confirmed,
    sheet,
    status_badge,
)

from .copy_forms import CopyForm


def state_cell(row: ModelCopy, note: str = "") -> SafeString:
    """The state with a short note; stale where nobody has looked for long."""
    stale = row.seen_at is not None and timezone.now() - row.seen_at > STALE_AFTER and row.state not in MOVING
    return status_badge(CopyState(row.state).label, COLOURS[row.state], seen=row.seen_at, stale=stale, note=note)


def progress_cell(row: ModelCopy) -> SafeString | str:
    """Bytes over a bar. A reference has none of its own: it shows the shared copy."""
    if row.method == CopyMethod.REFERENCE:
        return "–"
    total = row.bytes_total
    if not total:
        return memory(row.bytes_done) if row.bytes_done else "–"
    words = _("%(done)s of %(total)s") % {"done": memory(row.bytes_done), "total": memory(total)}
    return sheet("models_catalog/progress.html", words=words, width=round(100 * min(row.bytes_done, total) / total, 1))


class CopyCells:
    """What lists and inlines show of a copy."""

    @admin.display(description=gettext_lazy("model"), ordering="artifact__model__name")
    def model_name(self, row: ModelCopy) -> str:
        return row.artifact.model.name

    @admin.display(description=gettext_lazy("for"), ordering="workspace__name")
    def for_whom(self, row: ModelCopy) -> str:
        return row.workspace.name if row.workspace else _("all")

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_shown(self, row: ModelCopy) -> SafeString:
        return state_cell(row, row.message[:80])

    @admin.display(description=gettext_lazy("loaded"), ordering="bytes_done")
    def loaded(self, row: ModelCopy) -> SafeString | str:
        return progress_cell(row)

    @admin.display(description=gettext_lazy("volume"), ordering="size_bytes")
    def volume(self, row: ModelCopy) -> str:
        return memory(row.size_bytes)


class CopyInline(CopyCells, ReadOnlyInline):
    """The copies on a place's page."""

    model = ModelCopy
    fields = ("model_name", "for_whom", "state_shown", "loaded", "volume")
    readonly_fields = fields
    show_change_link = True
    per_page = 20

    def get_queryset(self, request: HttpRequest) -> Any:
        return ModelCopy.objects.all().visible_to(request.user).select_related("artifact__model", "cluster", "workspace")


ClusterAdmin.more_inlines.append(CopyInline)


@admin.register(ModelCopy)
class ModelCopyAdmin(CopyCells, PortalAdmin):
    form = CopyForm
    list_display = ("name", "model_name", "cluster", "for_whom", "state_shown", "loaded", "volume", "method")
    list_filter = ("state", "method", ("cluster", RelatedOnlyFilter), WorkspaceFilter)
    list_select_related = ("artifact__model", "cluster", "workspace")
    search_fields = ("name", "artifact__location", "artifact__model__name")
    ordering = ("-id",)
    actions = ("retry", "remove")
    actions_detail = ("retry", "remove")
    add_fieldsets = (
        (gettext_lazy("What and where"), {"fields": (("artifact", "cluster"), "workspace")}),
        (gettext_lazy("Storage"), {"fields": (("size_bytes", "storage_class"), "access_mode")}),
    )
    fieldsets = (
        (None, {"fields": (("model_name", "artifact"), ("cluster", "for_whom"), "state_now", "why", "loaded", "used_by",
                           "notes_shown")}),
        (gettext_lazy("In the cluster"), {"fields": ("where", ("method", "image"), ("volume", "storage_class"), "access_mode",
                                                     "created_at")}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: ModelCopy | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: ModelCopy | None = None) -> tuple[str, ...]:
        return tuple(_flat(self.fieldsets)) if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Removing is an action: the row stays until the cluster has let go."""
        return False

    def save_model(self, request: HttpRequest, obj: ModelCopy, form: ModelForm[Any], change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in ("size_bytes", "storage_class", "access_mode")}
        adopt(obj, services.preheat(actor_of(request), obj.artifact, obj.cluster, obj.workspace, **values))

    def row_note(self, row: ModelCopy) -> str:
        return f"{row.cluster.name} · {row.get_state_display()}"

    @confirmed(gettext_lazy("Retry"), permission="retry", icon="refresh", explain=gettext_lazy(
        "The weights are loaded once more: what is there already is not fetched again. Endpoints go on with what they have."))
    def retry(self, request: HttpRequest, row: ModelCopy) -> None:
        services.retry_copy(actor_of(request), row)

    @confirmed(gettext_lazy("Remove"), permission="remove", danger=True, icon="delete", explain=gettext_lazy(
        "The volume and the weights in it are deleted in the cluster. A copy that endpoints use is refused."))
    def remove(self, request: HttpRequest, row: ModelCopy) -> None:
        services.remove_copy(actor_of(request), row)

    @admin.display(description=gettext_lazy("state"))
    def state_now(self, row: ModelCopy) -> SafeString:
        return state_cell(row)

    @admin.display(description=gettext_lazy("message"))
    def why(self, row: ModelCopy) -> SafeString | str:
        return format_html('<span class="grow">{}</span>', row.message) if row.message else "–"

    @admin.display(description=gettext_lazy("objects"))
    def where(self, row: ModelCopy) -> str:
        return _("%(name)s in namespace %(namespace)s, round %(round)d") % {
            "name": row.name, "namespace": row.namespace, "round": row.round}

    @admin.display(description=gettext_lazy("used by"))
    def used_by(self, row: ModelCopy) -> str:
        return ", ".join(services.users_of(row)) or _("no endpoint")

    @admin.display(description=gettext_lazy("notes"))
    def notes_shown(self, row: ModelCopy) -> str:
        return " ".join(row.notes) or "–"


def _flat(fieldsets: Any) -> list[str]:
    names: list[str] = []
    for _title, options in fieldsets:
        for field in options["fields"]:
            names += [field] if isinstance(field, str) else field
    return names
