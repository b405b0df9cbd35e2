from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextareaWidget

from .. import services
from ..adminkit import PortalAdmin, WorkspaceFilter, actor_of, adopt, confirmed, shown_once, status_badge
from ..models import ApiKey
from ..roles import Scope

STATES = {"active": (gettext_lazy("active"), "good"), "expired": (gettext_lazy("expired"), "late"),
          "revoked": (gettext_lazy("revoked"), "idle")}


class ApiKeyForm(forms.ModelForm[ApiKey]):
    scopes = forms.MultipleChoiceField(label=gettext_lazy("may"), choices=Scope.choices, initial=[Scope.INFERENCE],
                                       widget=UnfoldAdminCheckboxSelectMultipleWidget())
    model_names = forms.CharField(
        label=gettext_lazy("models"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text=gettext_lazy("One name a line; empty means every model of the workspace."))

    class Meta:
        model = ApiKey
        fields = ("workspace", "name", "scopes", "model_names", "expires_at")

    def clean_model_names(self) -> list[str]:
        return [line.strip() for line in self.cleaned_data["model_names"].splitlines() if line.strip()]


class KeyStateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("usable", gettext_lazy("can be used")), ("ended", gettext_lazy("revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "usable":
            return queryset.filter(revoked_at=None)
        return queryset.exclude(revoked_at=None) if self.value() == "ended" else queryset


@admin.register(ApiKey)
class ApiKeyAdmin(PortalAdmin):
    """Keys are shown whole once, when they are made; later only their last four characters."""

    form = ApiKeyForm
    list_display = ("name", "ends_in", "state", "workspace", "created_by", "may", "last_used_at", "expires_at")
    list_filter = (KeyStateFilter, WorkspaceFilter)
    list_select_related = ("workspace", "created_by")
    search_fields = ("name", "=public_id", "=last4")
    autocomplete_fields = ("workspace",)
    ordering = ("-id",)
    actions = ("revoke",)
    actions_detail = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        made = ("name", "ends_in", "state", "workspace", "created_by", "may", "only_models", "expires_at", "last_used_at",
                "revoked_at", "created_at")
        return made if obj else ("workspace", "name", "scopes", "model_names", "expires_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    @admin.display(description=gettext_lazy("key"))
    def ends_in(self, row: ApiKey) -> str:
        return f"sk-…{row.last4}"

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: ApiKey) -> SafeString:
        label, role = STATES[row.state]
        return status_badge(label, role)

    @admin.display(description=gettext_lazy("may"))
    def may(self, row: ApiKey) -> str:
        words = dict(Scope.choices)
        return ", ".join(str(words.get(scope, scope)) for scope in row.scopes)

    @admin.display(description=gettext_lazy("models"))
    def only_models(self, row: ApiKey) -> str:
        return ", ".join(row.model_names) or _("all of the workspace")

    def save_model(self, request: HttpRequest, obj: ApiKey, form: forms.ModelForm[Any], change: bool) -> None:
        row, text = services.create_key(
            actor_of(request), obj.workspace, name=obj.name, scopes=form.cleaned_data["scopes"],
            model_names=form.cleaned_data["model_names"], expires_at=obj.expires_at)
        adopt(obj, row)
        request.made_key = text  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return shown_once(
            self, request, title=_("The new key “%(name)s”") % {"name": obj.name},
            text=request.made_key,  # type: ignore[attr-defined]
            hint=_("Copy it now. It is shown this once and kept nowhere; later only its last four characters are."),
            back=reverse("admin:tenancy_apikey_changelist"))

    def row_note(self, row: ApiKey) -> str:
        return f"{row.workspace} · {row.created_by}"

    @confirmed(gettext_lazy("Revoke"), permission="revoke", danger=True, immediate=True, icon="key_off",
               explain=gettext_lazy("Programs that use these keys are refused within seconds. It can't be undone."))
    def revoke(self, request: HttpRequest, row: ApiKey) -> None:
        services.revoke_key(actor_of(request), row)
