from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Sum
from django.http import HttpRequest
from django.urls import path
from django.utils.translation import gettext_lazy as _

from clusters.models import Accelerator, EnrolmentToken
from portal.tenancy.adminkit import ViewOnlyAdmin

from .figures import gib
from .instance_types import instance_types


@admin.register(Accelerator)
class AcceleratorAdmin(ViewOnlyAdmin):
    """Every GPU, with what our engines claim of it and what strangers hold."""

    scope_path = "node__cluster"
    list_display = ("node", "index", "model", "memory", "claimed", "others", "free", "simulated")
    list_filter = ("model", ("node__cluster", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("node",)
    search_fields = ("model__istartswith", "=device_uuid", "=node__name")
    ordering = ("node__name", "index")
    fields = ("node", "index", "model", "device_uuid", ("memory", "claimed"), ("others", "free"), "simulated")
    readonly_fields = ("node", "index", "model", "device_uuid", "memory", "claimed", "others", "free", "simulated")

    def get_urls(self) -> list[Any]:
        types = path("instance-types/", self.admin_site.admin_view(instance_types), name="clusters_instance_types")
        return [types, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(n_claimed=Sum("claims__memory_bytes"))

    @admin.display(description=_("memory"), ordering="memory_bytes")
    def memory(self, row: Any) -> str:
        return gib(row.memory_bytes)

    @admin.display(description=_("claimed"), ordering="n_claimed")
    def claimed(self, row: Any) -> str:
        return gib(row.n_claimed or 0)

    @admin.display(description=_("used by others"), ordering="used_by_others")
    def others(self, row: Any) -> str:
        return gib(row.used_by_others)

    @admin.display(description=_("free"))
    def free(self, row: Any) -> str:
        return gib(max(0, row.memory_bytes - row.used_by_others - (row.n_claimed or 0)))


@admin.register(EnrolmentToken)
class EnrolmentTokenAdmin(ViewOnlyAdmin):
    """Which tokens were made for new hosts, by whom, and what became of them. The token itself is kept nowhere."""

    scope_path = "cluster"
    list_display = ("cluster", "created_at", "created_by", "expires_at", "used_at", "host")
    list_filter = (("cluster", admin.RelatedOnlyFieldListFilter),)
    list_select_related = ("cluster", "created_by", "host__node")
    ordering = ("-id",)
    fields = ("cluster", "created_by", "created_at", "expires_at", "used_at", "host")
    readonly_fields = fields
