from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from models_catalog import services
from models_catalog.models import CatalogModel, Vendor
from models_catalog.resources import VendorResource
from portal.tenancy.adminkit import actor_of

from .base import CatalogueAdmin, counted


@admin.register(Vendor)
class VendorAdmin(CatalogueAdmin):
    list_display = ("name_shown", "slug", "languages_shown", "models_shown", "homepage")
    search_fields = ("slug", "names")
    resource_classes = (VendorResource,)
    fieldsets = ((None, {"fields": ("slug", "names", "homepage")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(
            model_count=counted(CatalogModel.objects.all(), "vendor"))
        return rows

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        services.put_vendor(actor_of(request), obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_vendor(actor_of(request), obj)

    @admin.display(description=_("name"), ordering="slug")
    def name_shown(self, row: Vendor) -> str:
        return row.name

    @admin.display(description=_("in other languages"))
    def languages_shown(self, row: Vendor) -> str:
        return ", ".join(f"{key}: {name}" for key, name in row.names.items() if name != row.name) or "–"

    @admin.display(description=_("models"), ordering="model_count")
    def models_shown(self, row: Any) -> int:
        return int(row.model_count)
