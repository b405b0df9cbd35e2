from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from models_catalog.models import Artifact
from models_catalog.numbers import memory
from portal.tenancy.adminkit import ViewOnlyAdmin


@admin.register(Artifact)
class ArtifactAdmin(ViewOnlyAdmin):
    """Where all weights lie, and which of them are pinned. They are changed on the page of their model."""

    scope_path = "model"
    list_display = ("model", "kind", "location", "is_pinned", "size", "has_token")
    list_filter = ("kind",)
    list_select_related = ("model",)
    search_fields = ("location", "=model__slug")
    ordering = ("model__slug", "kind")
    fields = ("model", "kind", "location", "revision", "size", "has_token")
    readonly_fields = ("model", "kind", "location", "revision", "size", "has_token")

    @admin.display(description=_("pinned"), boolean=True)
    def is_pinned(self, row: Artifact) -> bool:
        return bool(row.revision)

    @admin.display(description=_("size"), ordering="size_bytes")
    def size(self, row: Artifact) -> str:
        return memory(row.size_bytes) if row.size_bytes else "–"

    @admin.display(description=_("token kept"), boolean=True)
    def has_token(self, row: Artifact) -> bool:
        return bool(row.token)
