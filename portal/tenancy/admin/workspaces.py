from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminIntegerFieldWidget

from .. import services
from ..adminkit import PortalAdmin, actor_of, adopt, is_operator
from ..models import ApiKey, Membership, Workspace
from ..schemas import MAX_COUNT


def count_of(rows: QuerySet[Any], field: str = "workspace") -> Subquery:
    """How many of `rows` belong to the outer row; a subquery, since joined counts multiply each other."""
    counted = rows.filter(**{field: OuterRef("pk")}).order_by().values(field).annotate(n=Count("pk")).values("n")
    return Subquery(counted, output_field=IntegerField())


def _limit_field(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=0, max_value=MAX_COUNT,
                              widget=UnfoldAdminIntegerFieldWidget())


class WorkspaceForm(forms.ModelForm[Workspace]):
    """The workspace's own limits stand in a row of their own; here they are edited beside its name."""

    max_endpoints = _limit_field(_("endpoints at most"))
    max_replicas = _limit_field(_("replicas at most"))
    max_gpus = _limit_field(_("GPUs at most"))

    class Meta:
        model = Workspace
        fields = ("name", "slug")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in services.LIMIT_FIELDS.keys() & self.fields.keys():
            self.fields[name].initial = getattr(self.instance, name)


class MembershipForm(forms.ModelForm[Membership]):
    class Meta:
        model = Membership
        fields = ("user", "role")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["user"].disabled = True


class MembershipInline(TabularInline):  # type: ignore[misc]  # unfold has no types
    model = Membership
    form = MembershipForm
    extra = 0
    autocomplete_fields = ("user",)
    verbose_name = _("member")
    verbose_name_plural = _("members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return Membership.objects.filter(workspace__in=Workspace.objects.all().visible_to(request.user)).select_related(
            "user", "workspace").order_by("user__username")

    def _may(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("tenancy.change_workspace"))

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission = _may


@admin.register(Workspace)
class WorkspaceAdmin(PortalAdmin):
    form = WorkspaceForm
    list_display = ("name", "slug", "members", "keys", *services.LIMIT_FIELDS, "created_at")
    search_fields = ("name", "slug")
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("name", "slug")}),
        (_("Limits"), {"description": _("An empty limit means no limit."), "fields": (tuple(services.LIMIT_FIELDS),)}),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        keys = ApiKey.objects.filter(revoked_at=None)
        return services.with_limits(super().get_queryset(request)).annotate(
            n_members=count_of(Membership.objects.all()), n_keys=count_of(keys))

    @admin.display(description=_("members"), ordering="n_members")
    def members(self, row: Any) -> int:
        return int(row.n_members or 0)

    @admin.display(description=_("keys in use"), ordering="n_keys")
    def keys(self, row: Any) -> int:
        return int(row.n_keys or 0)

    @admin.display(description=_("endpoints at most"))
    def max_endpoints(self, row: Workspace) -> int | None:
        return row.max_endpoints

    @admin.display(description=_("replicas at most"))
    def max_replicas(self, row: Workspace) -> int | None:
        return row.max_replicas

    @admin.display(description=_("GPUs at most"))
    def max_gpus(self, row: Workspace) -> int | None:
        return row.max_gpus

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        limits = () if is_operator(request) else services.LIMIT_FIELDS
        return ("slug", *limits) if obj else ()

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [MembershipInline] if obj else []

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Workspace, form: forms.ModelForm[Any], change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if change and values:
            services.change_workspace(actor_of(request), obj, **values)
        elif not change:
            adopt(obj, services.create_workspace(actor_of(request), **form.cleaned_data))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Members come, change and go through the services, which know who may grant what."""
        actor = actor_of(request)
        changed: list[Model] = formset.save(commit=False)
        for row in formset.deleted_objects:
            services.remove_member(actor, row)
        for row in changed:
            assert isinstance(row, Membership)
            services.set_member(actor, form.instance, row.user, row.role)
        formset.new_objects, formset.changed_objects = [], []
