"""Limits: who or what is limited, in what, and how far each quantity is used at this moment."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.views import ChangeList as UnfoldChangeList

from endpoints.services import limits
from portal.tenancy.adminkit import PortalAdmin, WorkspaceFilter, actor_of, adopt, is_operator, sheet
from portal.tenancy.models import Limit, LimitKind

SUBJECT = ("workspace", "kind", "member", "key", "model_name")


class LimitForm(forms.ModelForm[Limit]):
    class Meta:
        model = Limit
        fields = (*SUBJECT, *Limit.QUANTITIES)
        help_texts = {"member": gettext_lazy("For the kind “member”: all of that person's keys together."),
                      "key": gettext_lazy("For the kind “API key”."),
                      "model_name": gettext_lazy("For the kind “model”: the name that callers write.")}


class LimitList(UnfoldChangeList):  # type: ignore[misc]  # unfold has no types
    """Reads how far the shown rows are used together."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        uses = limits.uses_of(rows, places=False)
        for row in rows:
            row.uses = uses[row.pk]
        self.result_list = rows


@admin.register(Limit)
class LimitAdmin(PortalAdmin):
    """Every limit on the chain of a call applies: the workspace's, the member's, the key's and the model's."""

    form = LimitForm
    list_display = ("subject_shown", "workspace", "kind", "calls", "deployments", "fullest")
    list_filter = ("kind", WorkspaceFilter)
    list_select_related = ("workspace", "member", "key")
    search_fields = ("model_name__istartswith", "member__username__istartswith", "key__name__istartswith")
    search_help_text = gettext_lazy("The beginning of a model's, member's or key's name.")
    autocomplete_fields = ("workspace", "member", "key")
    ordering = ("-id",)
    add_subject = (None, {"fields": SUBJECT})
    used_now = (gettext_lazy("Used now"), {"fields": ("uses_shown",)})
    quantities = (
        (gettext_lazy("Calls"), {
            "description": gettext_lazy("An empty limit means no limit, 0 allows nothing. A change counts within a second."),
            "fields": (("requests_per_minute", "tokens_per_minute", "concurrent_requests"),
                       ("tokens_per_month", "money_per_month"))}),
        (gettext_lazy("Endpoints"), {"fields": (Limit.PLACES,)}),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return LimitList

    def get_fieldsets(self, request: HttpRequest, obj: Limit | None = None) -> Any:
        if obj is None:
            return (self.add_subject, *self.quantities)
        named = [name for name in SUBJECT[2:] if getattr(obj, name)]
        return ((None, {"fields": ("workspace", "kind", *named)}), self.used_now, *self.quantities)

    def get_readonly_fields(self, request: HttpRequest, obj: Limit | None = None) -> tuple[str, ...]:
        return (*SUBJECT, "uses_shown") if obj else ()

    def has_change_permission(self, request: HttpRequest, obj: Limit | None = None) -> bool:
        return bool(super().has_change_permission(request, obj) and self._may_change(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Limit | None = None) -> bool:
        return bool(obj is not None and super().has_delete_permission(request, obj) and self._may_change(request, obj))

    def _may_change(self, request: HttpRequest, obj: Limit | None) -> bool:
        return obj is None or is_operator(request) or limits.may_change(actor_of(request), obj)

    def save_model(self, request: HttpRequest, obj: Limit, form: forms.ModelForm[Any], change: bool) -> None:
        actor, values = actor_of(request), form.cleaned_data
        if change:
            row = limits.change_limit(actor, obj, **{name: values[name] for name in form.changed_data})
        else:
            given = {name: values[name] for name in (*SUBJECT[1:], *Limit.QUANTITIES)}
            row = limits.create_limit(actor, obj.workspace, **given)
        adopt(obj, row)

    def delete_model(self, request: HttpRequest, obj: Limit) -> None:
        limits.delete_limit(actor_of(request), obj)

    @admin.display(description=gettext_lazy("limit of"), ordering="subject")
    def subject_shown(self, row: Limit) -> str:
        named = {LimitKind.MEMBER: row.member, LimitKind.KEY: row.key, LimitKind.MODEL: row.model_name}
        return str(named.get(LimitKind(row.kind), row.workspace))

    @admin.display(description=gettext_lazy("calls"))
    def calls(self, row: Limit) -> str:
        return _words(row, Limit.CALLS)

    @admin.display(description=gettext_lazy("endpoints"))
    def deployments(self, row: Limit) -> str:
        return _words(row, Limit.PLACES)

    @admin.display(description=gettext_lazy("used most"))
    def fullest(self, row: Any) -> SafeString | str:
        known = [use for use in row.uses if use.used is not None]
        if not known:
            return "–"
        use = max(known, key=lambda one: one.share)
        return sheet("portal/admin/limit_fullest.html", share=use.share, words=_label(use.quantity),
                     percent=_("%(percent).0f %%") % {"percent": use.share})

    @admin.display(description="")
    def uses_shown(self, row: Limit) -> SafeString:
        uses = limits.uses_of([row])[row.pk]
        return sheet("portal/admin/limit_uses.html", uses=[
            (capfirst(_label(use.quantity)), use.share, "" if use.used is None else f"{use.used:,}", f"{use.limit:,}")
            for use in uses])


def _label(quantity: str) -> str:
    return str(Limit._meta.get_field(quantity).verbose_name)  # type: ignore[union-attr]


def _words(row: Limit, quantities: tuple[str, ...]) -> str:
    given = [f"{getattr(row, name):,} {_label(name)}" for name in quantities if getattr(row, name) is not None]
    return " · ".join(given) or "–"
