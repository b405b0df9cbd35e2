from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from models_catalog import services
from models_catalog.engine_args.table import load_table
from models_catalog.models import EngineRelease, Profile
from models_catalog.resources import ReleaseResource
from portal.tenancy.adminkit import actor_of, sheet, status_badge

from .base import CatalogueAdmin, counted
from .forms import ReleaseForm


@admin.register(EngineRelease)
class EngineReleaseAdmin(CatalogueAdmin):
    form = ReleaseForm
    list_display = ("slug", "kind", "version", "device", "enabled_shown", "arguments_shown", "profiles_shown", "image")
    list_filter = ("kind", "device", "enabled")
    search_fields = ("slug", "version", "image")
    resource_classes = (ReleaseResource,)
    readonly_fields = ("options_shown",)
    fieldsets = (
        (None, {"fields": ("slug", ("kind", "version", "device"), "image", "enabled"), "description": _(
            "Clusters pull the image: a fixed tag, or better a digest such as vllm/vllm-openai@sha256:…, which nobody can "
            "move. Hosts take the folder with the short name.")}),
        (_("Login of the registry"), {"fields": (("user", "password"),), "description": _(
            "Clusters get it as a pull secret beside each endpoint, for the registry of this image and for no other.")}),
        (_("Arguments that can be set"), {"fields": ("options_shown",), "classes": ("tab",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(
            profile_count=counted(Profile.objects.all(), "release"))
        return rows

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        actor, said = actor_of(request), form.cleaned_data
        services.put_release(actor, obj)
        if said["password"] or (obj.registry_user and not said["user"]):
            services.set_registry_login(actor, obj, said["user"], said["password"])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_release(actor_of(request), obj)

    @admin.display(description=_("can be chosen"), ordering="enabled")
    def enabled_shown(self, row: EngineRelease) -> str:
        return status_badge(_now("yes") if row.enabled else _now("no"), "good" if row.enabled else "idle")

    @admin.display(description=_("arguments"))
    def arguments_shown(self, row: EngineRelease) -> str:
        table = load_table(row.kind, row.version)
        return str(len(table.options)) if table else _now("none can be set")

    @admin.display(description=_("profiles"), ordering="profile_count")
    def profiles_shown(self, row: Any) -> int:
        return int(row.profile_count)

    @admin.display(description=_("arguments"))
    def options_shown(self, row: EngineRelease) -> str:
        table = load_table(row.kind, row.version) if row.pk else None
        return sheet("models_catalog/options.html", options=table.options.values() if table else [])
