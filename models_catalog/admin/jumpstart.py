"""The pages of SageMaker's hub: browse it, put a model on the shelf, read a licence and accept it."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from clusters.models import AwsAccount
from models_catalog import services
from models_catalog.choices import ArtifactKind
from models_catalog.models import Artifact, CatalogModel
from portal.tenancy.adminkit import ConfirmForm, Preview, actor_of, confirmed
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Workspace

LICENCE = "portal/admin/licence.html"
UNREAD = "-"  # approves nothing: the licence could not be read


class BrowseForm(forms.Form):
    """Where the hub is asked, and for what."""

    account = forms.ModelChoiceField(AwsAccount.objects.none(), label=_("AWS account"), empty_label=None,
                                     widget=UnfoldAdminSelectWidget())
    region = forms.CharField(label=_("Region"), required=False, max_length=30, widget=UnfoldAdminTextInputWidget(),
                             help_text=_("Empty takes the account's."))
    q = forms.CharField(label=_("Part of the model ID"), required=False, max_length=63,
                        widget=UnfoldAdminTextInputWidget(attrs={"type": "search"}))
    cursor = forms.CharField(required=False, max_length=8192, widget=forms.HiddenInput())


class AcceptForm(ConfirmForm):
    first_button = _("Read the licence")
    artifact = forms.ModelChoiceField(Artifact.objects.none(), label=_("Model of the hub"), widget=UnfoldAdminSelectWidget())
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label=_("For"), widget=UnfoldAdminSelectWidget())
    account = forms.ModelChoiceField(AwsAccount.objects.none(), label=_("Read with"), widget=UnfoldAdminSelectWidget(),
                                     help_text=_("The AWS account that reads the licence from the hub."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.request is not None, "the kit gives every form its request"
        user = self.request.user
        offered: dict[str, Any] = {
            "artifact": Artifact.objects.filter(model__in=[row.pk for row in self.rows], kind=ArtifactKind.JUMPSTART),
            "workspace": Workspace.objects.all().visible_to(user), "account": AwsAccount.objects.all().visible_to(user)}
        for name, rows in offered.items():
            self.fields[name].queryset = rows  # type: ignore[attr-defined]
            first = rows.first()
            self.fields[name].initial = first.pk if first else None


def licence_preview(
    _request: HttpRequest, _row: CatalogModel, word: str, *, artifact: Artifact, account: AwsAccount, **_values: Any,
) -> Preview:
    """The text that will be accepted; its digest is the word, so that another text is shown anew."""
    try:
        found = services.hub_details(account, "", artifact.location, artifact.revision)
        text = services.licence_text(account, "", found)
    except PortalError as error:
        return Preview(LICENCE, {"problem": error.message}, UNREAD)
    digest = hashlib.sha256(f"{found.eula}\n{text}".encode()).hexdigest()
    context = {"text": text, "url": found.eula, "asks": found.asks_for_acceptance,
               "link": found.eula if found.eula.startswith("https://") else ""}
    return Preview(LICENCE, context, digest, is_approved=word == digest)


class JumpstartPages:
    """For the admin of models: the hub's list, and the action that accepts a licence."""

    @confirmed(_("Accept the licence"), permission="change", form=AcceptForm, preview=licence_preview, immediate=True,
               repeatable=True, icon="gavel", explain=_(
                   "Some models of SageMaker JumpStart may only be deployed by who has accepted their licence. Read it here. "
                   "Who accepted which text, and when, is kept; the portal then says so to AWS with each deployment."))
    def accept_licence(
        self, request: HttpRequest, _row: CatalogModel, *, artifact: Artifact, workspace: Workspace, account: AwsAccount,
    ) -> None:
        services.read_and_accept(actor_of(request), artifact, workspace, account, "")

    @action(description=_("JumpStart catalogue"), url_path="jumpstart", permissions=["add"], icon="storefront")  # type: ignore[untyped-decorator]
    def jumpstart_page(self, request: HttpRequest) -> HttpResponse:
        """What SageMaker's hub has, with one click to the shelf."""
        if not self.has_add_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        form = BrowseForm(request.POST if request.method == "POST" else request.GET or None)
        accounts = AwsAccount.objects.all().visible_to(request.user)
        form.fields["account"].queryset = accounts  # type: ignore[attr-defined]
        found = None
        if form.is_valid() and request.method == "POST":
            made = _shelve(request, form.cleaned_data)
            if made is not None:
                return HttpResponseRedirect(reverse("admin:models_catalog_catalogmodel_change", args=[made.pk]))
        elif form.is_valid():
            found = _found(form)
        return TemplateResponse(request, "portal/admin/jumpstart.html", {
            **self.admin_site.each_context(request), "opts": self.opts, "title": _now("JumpStart catalogue"),  # type: ignore[attr-defined]
            "form": form, "found": found, "has_accounts": accounts.exists(),
            "add_account": reverse("admin:clusters_awsaccount_add"),
            "back": reverse("admin:models_catalog_catalogmodel_changelist")})


def _found(form: BrowseForm) -> services.HubPage | None:
    said = form.cleaned_data
    try:
        return services.browse(said["account"], said["region"], text=said["q"], token=said["cursor"])
    except PortalError as error:
        form.add_error(error.field if error.field in form.fields else None, error.message)
        return None


def _shelve(request: HttpRequest, said: dict[str, Any]) -> CatalogModel | None:
    """Shared by all, since operators see this page; a workspace's own come by the API."""
    try:
        return services.shelve_hub_model(actor_of(request), said["account"], said["region"],
                                         request.POST.get("model_id", "")[:63], version=request.POST.get("version", "")[:14])
    except PortalError as error:
        messages.error(request, error.message)
        return None
