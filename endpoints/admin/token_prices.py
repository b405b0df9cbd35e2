"""The price book of tokens: operators add prices; what holds now, what held before, and what will."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Field
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from endpoints.models import TokenPrice
from endpoints.services import token_prices
from portal.tenancy.adminkit import PortalAdmin, actor_of, adopt, is_operator


@admin.register(TokenPrice)
class TokenPriceAdmin(PortalAdmin):
    """A price is never changed: a new one ends it, and what is booked stays as it is."""

    list_display = ("subject", "place", "prompt", "completion", "cached", "valid_from", "state")
    list_select_related = ("model", "workspace", "cluster")
    search_fields = ("model__slug__istartswith", "model__name__istartswith", "public_name__istartswith")
    autocomplete_fields = ("model", "workspace", "cluster")
    ordering = ("-valid_from", "-id")
    fieldsets = (
        (gettext_lazy("For what"), {"fields": ("model", ("workspace", "public_name"), "cluster")}),
        (gettext_lazy("A million tokens cost"), {"fields": (("prompt", "completion"), "cached", "valid_from")}),
    )

    @admin.display(description=gettext_lazy("for"))
    def subject(self, row: TokenPrice) -> str:
        return f"{row.workspace} · {row.public_name}" if row.workspace else str(row.model)

    @admin.display(description=gettext_lazy("place"))
    def place(self, row: TokenPrice) -> str:
        return str(row.cluster) if row.cluster else _("everywhere else")

    @admin.display(description=gettext_lazy("state"))
    def state(self, row: TokenPrice) -> str:
        return _("holds until the next of its kind") if row.counts else _("to come")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(obj is not None and is_operator(request) and super().has_delete_permission(request, obj))

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """The moment may be left open: then it is that of saving."""
        if db_field.name == "valid_from":
            kwargs |= {"required": False, "initial": None, "help_text": _("UTC. Empty: from now on.")}
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: TokenPrice, form: Any, change: bool) -> None:
        chosen = form.cleaned_data.get("valid_from")
        adopt(obj, token_prices.set_price(
            actor_of(request), model=obj.model, workspace=obj.workspace, public_name=obj.public_name, cluster=obj.cluster,
            prompt=obj.prompt, completion=obj.completion, cached=obj.cached,
            valid_from=chosen if chosen and chosen > timezone.now() else None))

    def delete_model(self, request: HttpRequest, obj: TokenPrice) -> None:
        token_prices.drop_price(actor_of(request), obj)
