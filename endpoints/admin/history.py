from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from endpoints.models import Event, Revision
from endpoints.states import COLOURS, Status
from portal.tenancy.adminkit import PeriodFilter, ViewOnlyAdmin, status_badge
from portal.tenancy.text import clean


@admin.register(Event)
class EventAdmin(ViewOnlyAdmin):
    """What happened to every endpoint, newest first: wishes, moves and faults."""

    scope_path = "endpoint"
    list_display = ("at", "endpoint", "workspace", "moved", "cause", "said", "actor_label")
    list_filter = ("kind", PeriodFilter)
    list_select_related = ("endpoint__workspace",)
    search_fields = ("=endpoint__name", "=cause")
    search_help_text = _("The whole name of an endpoint, or a cause.")
    ordering = ("-id",)
    fields = ("at", "endpoint", "kind", ("was", "now"), "cause", "message", "actor_label", "generation")
    readonly_fields = ("at", "endpoint", "kind", "was", "now", "cause", "message", "actor_label", "generation")

    @admin.display(description=_("workspace"))
    def workspace(self, row: Event) -> str:
        return str(row.endpoint.workspace)

    @admin.display(description=_("status"))
    def moved(self, row: Event) -> SafeString | str:
        return status_badge(Status(row.now).label, COLOURS[row.now], state=row.now) if row.now in COLOURS else row.kind

    @admin.display(description=_("what happened"))
    def said(self, row: Event) -> str:
        return clean(row.message, 160)


@admin.register(Revision)
class RevisionAdmin(ViewOnlyAdmin):
    """Every revision ever asked for; what it froze is on its page."""

    scope_path = "endpoint"
    list_display = ("endpoint", "number", "profile", "note", "created_at", "created_by", "served_at", "why_failed")
    list_select_related = ("endpoint", "profile__model", "created_by")
    search_fields = ("=endpoint__name", "note__istartswith")
    search_help_text = _("The whole name of an endpoint, or how a note starts.")
    ordering = ("-id",)
    fields = (("endpoint", "number"), "profile", "note", ("created_at", "created_by"), "served_at",
              ("failed_at", "failure"), "spec")
    readonly_fields = ("endpoint", "number", "profile", "note", "created_at", "created_by", "served_at", "failed_at",
                       "failure", "spec")

    @admin.display(description=_("why it failed"))
    def why_failed(self, row: Revision) -> str:
        return clean(row.failure, 160)
