from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from clusters import services
from clusters.models import Engine, Host
from clusters.states import COLOURS, HEARTBEAT
from portal.tenancy.adminkit import ViewOnlyAdmin, actor_of, confirmed, status_badge


@admin.register(Host)
class HostAdmin(ViewOnlyAdmin):
    """Machines with an agent of ours: whether it calls, and what it can start."""

    scope_path = "node__cluster"
    list_display = ("name", "status", "place", "engines", "lease", "address", "agent_version", "installed")
    list_filter = ("state", ("node__cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("node__cluster",)
    search_fields = ("node__name", "=address")
    ordering = ("node__name",)
    fields = ("name", "status", "place", "address", "is_local", "agent_version", "installed", "engines", "lease",
              "conditions", "created_at")
    readonly_fields = fields
    actions = ("drain", "undrain", "forget")
    actions_detail = ("drain", "undrain", "forget")

    def get_queryset(self, request: HttpRequest) -> Any:
        running = Engine.objects.filter(node=OuterRef("node")).order_by().values("node").annotate(n=Count("pk"))
        return super().get_queryset(request).annotate(
            n_engines=Subquery(running.values("n"), output_field=IntegerField()))

    @admin.display(description=_("name"), ordering="node__name")
    def name(self, row: Host) -> str:
        return row.node.name

    @admin.display(description=_("state"), ordering="state")
    def status(self, row: Host) -> SafeString:
        stale = row.seen_at is None or timezone.now() - row.seen_at > 3 * HEARTBEAT
        return status_badge(row.get_state_display(), COLOURS.get(row.state, "idle"), seen=row.seen_at, stale=stale)

    @admin.display(description=_("place"), ordering="node__cluster__name")
    def place(self, row: Host) -> str:
        return row.node.cluster.name

    @admin.display(description=_("engines here"), ordering="n_engines")
    def engines(self, row: Any) -> int:
        return int(row.n_engines or 0)

    @admin.display(description=_("lease until"), ordering="lease_until")
    def lease(self, row: Host) -> str:
        return f"{row.lease_until:%H:%M:%S} UTC" if row.lease_until else "–"

    @admin.display(description=_("engines installed"))
    def installed(self, row: Host) -> str:
        return ", ".join(map(str, row.releases))

    def row_note(self, row: Any) -> str:
        return f"{row.node.cluster} · {row.get_state_display()}"

    @confirmed(_("Drain"), permission="drain", immediate=True, icon="moving",
               explain=_("Nothing new is placed on these hosts; what runs there goes on."))
    def drain(self, request: HttpRequest, row: Host) -> None:
        services.drain(actor_of(request), row)

    @confirmed(_("Undrain"), permission="drain", immediate=True, icon="undo",
               explain=_("These hosts take engines again."))
    def undrain(self, request: HttpRequest, row: Host) -> None:
        services.undrain(actor_of(request), row)

    @confirmed(_("Forget"), permission="clusters.delete_host", danger=True, typed_name=True, immediate=True,
               icon="delete", explain=_("The agents' keys open nothing any more, and their nodes leave the portal. "
                                        "A host can come back only with a new token."))
    def forget(self, request: HttpRequest, row: Host) -> None:
        services.forget_host(actor_of(request), row)
