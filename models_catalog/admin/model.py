from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from clusters.models import Cluster
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.locations import is_pinned
from models_catalog.models import Artifact, CatalogModel, Profile
from models_catalog.numbers import count, memory, tokens
from models_catalog.resources import ModelsResource
from portal.tenancy.adminkit import actor_of, confirmed, sheet, status_badge
from portal.tenancy.models import User, Workspace

from .base import CatalogueAdmin, counted
from .copy_forms import PreheatForm
from .forms import ArtifactForm, CatalogModelForm
from .jumpstart import JumpstartPages
from .profile import needs_of


class ArtifactInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    model = Artifact
    form = ArtifactForm
    extra = 0
    tab = True
    fields = ("kind", "location", "revision", "pinned_shown", "size_shown", "token_shown", "new_token")
    readonly_fields = ("pinned_shown", "size_shown", "token_shown")

    @admin.display(description=_("pinned"))
    def pinned_shown(self, row: Artifact) -> str:
        pinned = is_pinned(row.kind, row.revision)
        return status_badge(_now("yes") if pinned else _now("no: the hub can change it"), "good" if pinned else "warn")

    @admin.display(description=_("size"))
    def size_shown(self, row: Artifact) -> str:
        return memory(row.size_bytes)

    @admin.display(description=_("token stored"), boolean=True)
    def token_shown(self, row: Artifact) -> bool:
        return bool(row.token)


class ProfileInline(TabularInline):  # type: ignore[misc]
    """The model's profiles at a glance; each is edited on its own page."""

    model = Profile
    extra = 0
    tab = True
    fields = readonly_fields = ("name_shown", "release", "needs_shown", "context_shown", "places")
    can_delete = False
    max_num = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("release", "model")  # type: ignore[no-any-return]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("name"))
    def name_shown(self, row: Profile) -> str:
        url = reverse("admin:models_catalog_profile_change", args=[row.pk])
        return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', url, row.name)

    @admin.display(description=_("each replica needs"))
    def needs_shown(self, row: Profile) -> str:
        return needs_of(row)

    @admin.display(description=_("context"))
    def context_shown(self, row: Profile) -> str:
        return tokens(row.arguments.get("max-model-len", row.model.context_tokens))


class ProfilesFilter(admin.SimpleListFilter):
    title = _("profiles")
    parameter_name = "profiles"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("some", _("can be deployed")), ("none", _("has none"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "some":
            return queryset.filter(profile_count__gt=0)
        return queryset.filter(profile_count=0) if self.value() == "none" else queryset


@admin.register(CatalogModel)
class CatalogModelAdmin(JumpstartPages, CatalogueAdmin):
    form = CatalogModelForm
    tall_fields = ("shape",)
    list_display = ("name_shown", "vendor_shown", "task_shown", "size_shown", "weights_shown", "context_shown",
                    "licence_shown", "shelf_shown", "profiles_shown", "workspace_shown")
    list_filter = ("task", "shelved", ProfilesFilter, "category", "gated", ("vendor", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("vendor", "workspace")
    search_fields = ("slug", "name", "vendor__slug", "architecture", "licence")
    resource_classes = (ModelsResource,)
    autocomplete_fields = ("vendor",)
    readonly_fields = ("shelf_shown", "facts_shown")
    inlines = (ProfileInline, ArtifactInline)
    actions = ("shelve", "unshelve")
    actions_list = ("jumpstart_page",)
    actions_detail = ("preheat", "accept_licence", "shelve", "unshelve")
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("vendor", "workspace"), ("task", "category"), "shelf_shown",
                           "description")}),
        (_("Licence"), {"fields": (("licence", "gated"), ("languages", "released"))}),
        (_("Size"), {"fields": ("facts_shown", ("parameters", "parameters_active"),
                                ("context_tokens", "weights_bytes"), ("dtype", "quantisation")), "classes": ("tab",)}),
        (_("Architecture"), {"fields": ("architecture", "shape", "sources"), "classes": ("tab",)}),
    )

    def scoped_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Also what lies off the shelf, of the person's own workspaces."""
        assert isinstance(request.user, User)
        visible = CatalogModel.objects.visible_to(request.user).values("pk")
        own = Workspace.objects.visible_to(request.user)
        return CatalogModel.objects.filter(Q(pk__in=visible) | Q(workspace__in=own))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(
            profile_count=counted(Profile.objects.all(), "model"))
        return rows

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        services.put_model(actor_of(request), obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        actor = actor_of(request)
        rows = formset.save(commit=False)
        for gone in formset.deleted_objects:
            services.delete_artifact(actor, gone)
        for row in rows:
            services.put_artifact(actor, row)
        for part in formset.forms:
            if part.has_changed() and part.cleaned_data.get("new_token") and not part.cleaned_data.get("DELETE"):
                services.set_artifact_token(actor, part.instance, part.cleaned_data["new_token"])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        services.delete_model(actor_of(request), obj)

    @confirmed(_("Put on the shelf"), permission="shelve", immediate=True,
               explain=_("Everybody who may see these models can choose them for new endpoints."))
    def shelve(self, request: HttpRequest, row: CatalogModel) -> None:
        services.shelve(actor_of(request), row)

    @confirmed(_("Take off the shelf"), permission="shelve", immediate=True,
               explain=_("Nobody can choose these models for new endpoints. Endpoints that run go on."))
    def unshelve(self, request: HttpRequest, row: CatalogModel) -> None:
        services.unshelve(actor_of(request), row)

    @confirmed(_("Preheat on a cluster"), permission="models_catalog.add_modelcopy", form=PreheatForm, icon="download",
               explain=_("The weights are put onto the cluster before anything is deployed there. Endpoints that are made "
                         "afterwards mount this copy."))
    def preheat(self, request: HttpRequest, row: CatalogModel, artifact: Artifact, cluster: Cluster, **values: Any) -> None:
        services.preheat(actor_of(request), artifact, cluster, values.pop("workspace"), **values)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only models of the hub have a licence that is accepted here."""
        found: list[Any] = super().get_actions_detail(request, object_id)
        if Artifact.objects.filter(model=object_id, kind=ArtifactKind.JUMPSTART).exists():
            return found
        return [one for one in found if one.method.original_function_name != "accept_licence"]

    def row_note(self, row: CatalogModel) -> str:
        return _now("on the shelf") if row.shelved else _now("off the shelf")

    @admin.display(description=_("name"), ordering="name")
    def name_shown(self, row: CatalogModel) -> str:
        return row.name

    @admin.display(description=_("vendor"), ordering="vendor__slug")
    def vendor_shown(self, row: CatalogModel) -> str:
        return row.vendor.name

    @admin.display(description=_("task"), ordering="task")
    def task_shown(self, row: CatalogModel) -> str:
        return format_html('<span class="whitespace-nowrap">{}</span>', row.get_task_display())

    @admin.display(description=_("parameters"), ordering="parameters")
    def size_shown(self, row: CatalogModel) -> str:
        if not row.parameters_active:
            return count(row.parameters)
        words = {"all": count(row.parameters), "active": count(row.parameters_active)}
        return _now("%(all)s, %(active)s active") % words

    @admin.display(description=_("weights"), ordering="weights_bytes")
    def weights_shown(self, row: CatalogModel) -> str:
        return memory(row.weights_bytes)

    @admin.display(description=_("context"), ordering="context_tokens")
    def context_shown(self, row: CatalogModel) -> str:
        return tokens(row.context_tokens)

    @admin.display(description=_("licence"), ordering="licence")
    def licence_shown(self, row: CatalogModel) -> str:
        licence = row.licence or _now("not known")
        return _now("%(licence)s, gated") % {"licence": licence} if row.gated else licence

    @admin.display(description=_("shelf"), ordering="shelved")
    def shelf_shown(self, row: CatalogModel) -> str:
        return status_badge(self.row_note(row), "good" if row.shelved else "idle")

    @admin.display(description=_("profiles"), ordering="profile_count")
    def profiles_shown(self, row: Any) -> int:
        return int(row.profile_count)

    @admin.display(description=_("workspace"), ordering="workspace__name")
    def workspace_shown(self, row: CatalogModel) -> str:
        return row.workspace.name if row.workspace else _now("all")

    @admin.display(description=_("at a glance"))
    def facts_shown(self, row: CatalogModel) -> str:
        if not row.pk:
            return "–"
        return sheet("models_catalog/facts.html", size=self.size_shown(row), weights=memory(row.weights_bytes),
                     context=tokens(row.context_tokens), about=row.shape.get("about", {}))
