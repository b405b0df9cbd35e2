from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..adminkit import PeriodFilter, ViewOnlyAdmin, WorkspaceFilter, sheet
from ..models import AuditEntry


@admin.register(AuditEntry)
class AuditAdmin(ViewOnlyAdmin):
    """Who did what, newest first. Search finds an object's or a request's ID, or how a name starts."""

    list_display = ("at", "actor_label", "verb", "object_label", "kind", "workspace", "changes")
    list_filter = (PeriodFilter, WorkspaceFilter)
    list_select_related = ("workspace",)
    search_fields = ("=object_uid", "=request_id", "actor_label__istartswith", "object_label__istartswith")
    search_help_text = _("An ID, or how the name of a person or an object starts.")
    ordering = ("-id",)
    fields = ("at", "actor_label", "verb", "kind", "object_label", "object_uid", "workspace", "request_id", "difference")
    readonly_fields = fields

    @admin.display(description=_("what changed"))
    def changes(self, row: AuditEntry) -> str:
        return ", ".join(sorted({*row.before, *row.after}))[:120]

    @admin.display(description=_("before and after"))
    def difference(self, row: AuditEntry) -> SafeString:
        names = sorted({*row.before, *row.after})
        lines = [(name, _shown(row.before, name), _shown(row.after, name)) for name in names]
        return sheet("portal/admin/difference.html", lines=lines)


def _shown(values: dict[str, Any], name: str) -> str:
    if name not in values:
        return ""
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
