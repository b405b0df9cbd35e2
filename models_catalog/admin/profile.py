from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.formats import number_format
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from models_catalog import services
from models_catalog.arguments import to_argv
from models_catalog.models import CatalogModel, Profile
from models_catalog.numbers import memory, tokens
from models_catalog.resources import ProfileResource
from portal.tenancy.adminkit import actor_of, sheet

from .base import CatalogueAdmin
from .forms import ProfileForm


def needs_of(row: Profile) -> str:
    """What each replica claims, such as "2 CPUs, 5.0 GiB" or "4 GPUs of 79.0 GiB, 9 CPUs, 24.0 GiB"."""
    cpus = ngettext("%(n)s CPU", "%(n)s CPUs", max(1, round(row.cpu_millis / 1000))) % {
        "n": number_format(row.cpu_millis / 1000, None if row.cpu_millis % 1000 else 0)}
    plain = _now("%(cpus)s, %(memory)s") % {"cpus": cpus, "memory": memory(row.memory_bytes)}
    if not row.gpus:
        return plain
    words = {"n": row.gpus, "memory": memory(row.gpu_memory_bytes), "rest": plain}
    if not row.gpu_memory_bytes:
        return ngettext("%(n)d whole GPU, %(rest)s", "%(n)d whole GPUs, %(rest)s", row.gpus) % words
    return ngettext("%(n)d GPU of %(memory)s, %(rest)s", "%(n)d GPUs of %(memory)s, %(rest)s", row.gpus) % words


@admin.register(Profile)
class ProfileAdmin(CatalogueAdmin):
    form = ProfileForm
    tall_fields = ("arguments",)
    list_display = ("slug", "model_shown", "name", "release_shown", "needs_shown", "context_shown", "places_shown")
    list_filter = ("release", "model__task", "gpus")
    list_select_related = ("model", "release")
    search_fields = ("slug", "name", "model__name", "model__slug")
    autocomplete_fields = ("model",)
    resource_classes = (ProfileResource,)
    readonly_fields = ("argv_shown",)
    fieldsets = (
        (None, {"fields": (("name", "slug"), "model", ("artifact", "release"), "places")}),
        (_("Each replica needs"), {"fields": (("gpus", "gpu_memory_bytes"), ("cpu_millis", "memory_bytes"),
                                              ("nodes", "start_seconds"))}),
        (_("On which nodes of a cluster"), {"fields": (("node_selector", "tolerations"), ("priority_class", "runtime_class"))}),
        (_("Engine"), {"fields": ("arguments", "environment", "argv_shown")}),
    )

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        rows = super().get_import_resource_kwargs(request, **kwargs)
        return {**rows, "models": self.choices_for(request, CatalogModel)}

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_export_queryset(request)
        return rows.select_related("artifact", "model", "release")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "model") if obj else self.readonly_fields

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "artifact":
            models = self.choices_for(request, CatalogModel)
            kwargs["queryset"] = db_field.remote_field.model.objects.filter(model__in=models).select_related("model")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        if obj is not None and "artifact" in form.base_fields:
            field = form.base_fields["artifact"]
            field.queryset = field.queryset.filter(model=obj.model_id)
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        services.put_profile(actor_of(request), obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_profile(actor_of(request), obj)

    @admin.display(description=_("model"), ordering="model__name")
    def model_shown(self, row: Profile) -> str:
        return row.model.name

    @admin.display(description=_("engine"), ordering="release__slug")
    def release_shown(self, row: Profile) -> str:
        return str(row.release)

    @admin.display(description=_("each replica needs"), ordering="memory_bytes")
    def needs_shown(self, row: Profile) -> str:
        return needs_of(row)

    @admin.display(description=_("context"))
    def context_shown(self, row: Profile) -> str:
        return tokens(row.arguments.get("max-model-len", row.model.context_tokens))

    @admin.display(description=_("kinds of place"))
    def places_shown(self, row: Profile) -> str:
        return ", ".join(row.places) or _now("any")

    @admin.display(description=_("as the engine gets it"))
    def argv_shown(self, row: Profile) -> str:
        return sheet("models_catalog/argv.html", argv=to_argv(row.arguments) if row.pk else [])
