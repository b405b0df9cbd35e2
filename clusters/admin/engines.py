from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from clusters.models import Engine
from clusters.states import COLOURS, HEARTBEAT
from portal.tenancy.adminkit import ViewOnlyAdmin, sheet, status_badge
from portal.tenancy.text import clean


def phase_badge(row: Engine) -> SafeString:
    """How far the process is and when that was said, dotted where its agent has fallen silent."""
    stale = row.reported_at is None or timezone.now() - row.reported_at > 3 * HEARTBEAT
    return status_badge(row.get_phase_display(), COLOURS.get(row.phase, "bad"), seen=row.reported_at,
                        stale=stale and row.phase != "ASSIGNED")


@admin.register(Engine)
class EngineAdmin(ViewOnlyAdmin):
    """Every engine process on every host. Only operators see it: it knows the processes of all tenants."""

    list_display = ("label", "index", "revision", "phase_now", "node", "restarts", "exit_code", "port", "said")
    list_filter = ("phase", ("node__cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("node",)
    search_fields = ("label__istartswith", "=endpoint_uid")
    ordering = ("-id",)
    fields = ("label", ("index", "revision"), "phase_now", "node", ("pid", "port"), ("restarts", "exit_code"), "message",
              "reported_at", "last_lines", "lines_before")
    readonly_fields = ("label", "index", "revision", "phase_now", "node", "pid", "port", "restarts", "exit_code", "message",
                       "reported_at", "last_lines", "lines_before")

    @admin.display(description=_("phase"), ordering="phase")
    def phase_now(self, row: Engine) -> SafeString:
        return phase_badge(row)

    @admin.display(description=_("message"))
    def said(self, row: Engine) -> str:
        return row.message[:120]

    @admin.display(description=_("last lines"))
    def last_lines(self, row: Engine) -> SafeString:
        return sheet("portal/admin/log.html", text=clean(row.log, 65536))

    @admin.display(description=_("last lines of the previous run"))
    def lines_before(self, row: Engine) -> SafeString:
        return sheet("portal/admin/log.html", text=clean(row.previous_log, 65536))
