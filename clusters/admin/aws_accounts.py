"""The pages of AWS accounts: a write-only key, what each way to sign in needs in AWS, and what the last test found."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget

from clusters import services
from clusters.aws_policy import rights_policy, trust_policy
from clusters.drivers.aws_places import partition_of
from clusters.models import AwsAccount
from clusters.states import COLOURS, Reach
from portal.tenancy.adminkit import PortalAdmin, WorkspaceFilter, actor_of, confirmed, is_operator, sheet, status_badge
from portal.tenancy.errors import Invalid, PortalError

POLICY = "inference-portal-rights.json"
STALE = timedelta(minutes=15)  # three looks
FOUND = ("connection", "connected", "account_id", "arn", "n_places", "in_aws")


class AccountForm(forms.ModelForm[AwsAccount]):
    """An account. Its secret key goes in and is never shown again."""

    secret_key = forms.CharField(
        label=gettext_lazy("Secret access key"), required=False, max_length=200,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Empty keeps the stored one. It belongs to its key ID, and is never shown again."))


@admin.register(AwsAccount)
class AwsAccountAdmin(PortalAdmin):
    form = AccountForm
    list_display = ("name", "workspace", "region", "sign_in", "connection", "account_id", "n_places")
    list_filter = ("sign_in", WorkspaceFilter)
    list_select_related = ("workspace",)
    search_fields = ("name", "account_id")
    autocomplete_fields = ("workspace",)
    ordering = ("name",)
    actions_detail = ("test_account",)
    base = (None, {"fields": ("name", "workspace", "region", "sign_in")})
    role = (gettext_lazy("The role"), {
        "fields": ("role_arn", "external_id"), "classes": ("of-role",), "description": gettext_lazy(
            "The portal assumes this role with the keys below, or without any as the machine that it runs on. Leave the "
            "external ID empty to be given one.")})
    keys = (gettext_lazy("Access keys"), {
        "fields": ("access_key_id", "secret_key"), "classes": ("of-keys",), "description": gettext_lazy(
            "Lasting keys of an IAM user (AKIA…). Where a role is assumed they are the user who assumes it, and may be "
            "empty.")})

    def get_fieldsets(self, request: HttpRequest, obj: AwsAccount | None = None) -> Any:
        if obj is None:
            first = {"fields": ("name", "workspace", "region", "sign_in"), "description": gettext_lazy(
                "Once it is saved, the account's page shows what to set up in AWS for its way to sign in.")}
            return (None, first), self.role, self.keys
        there = gettext_lazy("What is there")
        if not is_operator(request):  # who signs in there, and how, is the operators' business; AWS's words tell it
            return self.base, (there, {"fields": ("connection", ("account_id", "n_places"))})
        return (self.base, (there, {"fields": ("connected", ("account_id", "n_places"), "arn")}), self.role, self.keys,
                (gettext_lazy("In AWS"), {"fields": ("in_aws",), "classes": ("collapse",) if obj.reach == Reach.OK else ()}))

    def get_readonly_fields(self, request: HttpRequest, obj: AwsAccount | None = None) -> tuple[str, ...]:
        return ("name", *FOUND) if obj else ()

    def get_urls(self) -> list[Any]:
        own = re_path(r"^rights-(?P<partition>aws[a-z-]{0,12})\.json$", self.admin_site.admin_view(self.rights),
                      name="clusters_awsaccount_rights")
        return [own, *super().get_urls()]

    def rights(self, request: HttpRequest, partition: str) -> HttpResponse:
        """The least rights that the portal needs, for IAM; nothing of an account is in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        response = HttpResponse(_json(rights_policy(partition)), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="{POLICY}"'
        return response

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).annotate(place_count=Count("places")).defer("secret_access_key")
        return rows

    # A shared account is everybody's: only operators write here, whatever single rights a member of staff has.

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_add_permission(request))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(is_operator(request) and super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only one at a time, and only while no place is reached by it."""
        if obj is None or not is_operator(request) or not super().has_delete_permission(request, obj):
            return False
        return not obj.places.exists()

    def save_model(self, request: HttpRequest, obj: AwsAccount, form: Any, change: bool) -> None:
        try:
            services.put_account(actor_of(request), obj, secret_access_key=form.cleaned_data.get("secret_key", ""))
        except Invalid as error:
            if error.field == "secret_access_key":  # the form's field can't have the name of one that holds ciphertext
                error.field = "secret_key"
            raise

    def delete_model(self, request: HttpRequest, obj: AwsAccount) -> None:
        services.delete_account(actor_of(request), obj)

    @admin.display(description=gettext_lazy("connection"), ordering="reach")
    def connection(self, row: AwsAccount) -> SafeString:
        return _badge(row)

    @admin.display(description=gettext_lazy("connection"))
    def connected(self, row: AwsAccount) -> SafeString:
        return _badge(row, note=row.message)

    @admin.display(description=gettext_lazy("places"), ordering="place_count")
    def n_places(self, row: Any) -> int:
        return int(row.place_count)

    @admin.display(description=gettext_lazy("what to set up there"))
    def in_aws(self, row: AwsAccount) -> SafeString:
        partition = partition_of(row.region)
        return sheet("portal/admin/aws_account.html", account=row, partition=partition, policy=POLICY,
                     trust=_json(trust_policy(row, partition)) if row.role_arn else "")

    @confirmed(gettext_lazy("Test connection"), permission="change", immediate=True, repeatable=True, icon="network_check",
               explain=gettext_lazy("Signs in, asks AWS who the portal is there, and looks once at each part that the portal "
                                    "uses. Nothing is changed in the account."))
    def test_account(self, request: HttpRequest, row: AwsAccount) -> None:
        found = services.check_account(actor_of(request), row)
        if found.reach != Reach.OK:
            raise PortalError(f"{found.reach.label}: {found.message}")


def _badge(row: AwsAccount, note: str = "") -> SafeString:
    """Stale where nobody could test it for three periods."""
    old = row.checked_at is not None and timezone.now() - row.checked_at > STALE
    return status_badge(Reach(row.reach).label, COLOURS[row.reach], seen=row.checked_at, stale=old, note=note)


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)
