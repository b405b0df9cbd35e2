"""The page that finds HyperPod clusters in an AWS account and brings them in, one click each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from clusters import services
from clusters.hyperpod import STATE_COLOURS
from clusters.models import AwsAccount
from portal.tenancy.adminkit import actor_of, is_operator, status_badge
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Workspace
from portal.tenancy.text import slug_of

URL_NAME = "admin:clusters_cluster_import_hyperpod"


class WhereForm(forms.Form):
    """Where to look: by GET, so that the page can be loaded again and kept as a link."""

    account = forms.ModelChoiceField(AwsAccount.objects.none(), label=gettext_lazy("AWS account"),
                                     widget=UnfoldAdminSelectWidget(), empty_label=gettext_lazy("choose one"))
    region = forms.CharField(label=gettext_lazy("Region"), required=False, max_length=30,
                             widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "us-west-2"}),
                             help_text=gettext_lazy("Empty looks in the account's own region."))
    workspace = forms.ModelChoiceField(
        Workspace.objects.none(), label=gettext_lazy("Only for workspace"), required=False, widget=UnfoldAdminSelectWidget(),
        empty_label=gettext_lazy("shared with all"), help_text=gettext_lazy("Who may deploy to what is imported."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["account"].queryset = AwsAccount.objects.all()  # type: ignore[attr-defined]
        self.fields["workspace"].queryset = Workspace.objects.all()  # type: ignore[attr-defined]


class ImportForm(WhereForm):
    """Which cluster becomes a place, and under which name."""

    cluster = forms.CharField(max_length=256)
    name = forms.CharField(required=False, max_length=63)


def _name_input(name: str) -> SafeString:
    """For another name than the cluster's own, such as where it is taken."""
    return UnfoldAdminTextInputWidget(attrs={"maxlength": 63, "placeholder": slug_of(name)}).render("name", "", {  # type: ignore[no-any-return]
        "aria-label": _("Name of the place")})


class ImportPage:
    """For the admin of places."""

    @action(description=gettext_lazy("Import HyperPod clusters"), url_path="import-hyperpod", permissions=["add"],  # type: ignore[untyped-decorator]
            icon="cloud_download")
    def import_hyperpod(self, request: HttpRequest) -> HttpResponse:
        """GET shows what the account has, POST brings one in. AWS is asked outside of any transaction."""
        if not is_operator(request):
            raise PermissionDenied
        if request.method == "POST":
            return self._bring_in(request)
        form = WhereForm(request.GET if "account" in request.GET else None)
        found: list[services.Found] = []
        asked, problem = form.is_bound and form.is_valid(), ""
        if asked:
            try:
                found = services.discover(actor_of(request), form.cleaned_data["account"], form.cleaned_data["region"])
            except PortalError as error:
                problem = error.message
        return self._page(request, form, found, asked=asked and not problem, problem=problem)

    def _bring_in(self, request: HttpRequest) -> HttpResponse:
        form = ImportForm(request.POST)
        where = {name: request.POST.get(name, "") for name in ("account", "region", "workspace")}
        back = HttpResponseRedirect(f"{reverse(URL_NAME)}?{urlencode(where)}")
        if not form.is_valid():
            messages.error(request, _("Choose an account and a cluster."))
            return back
        said = form.cleaned_data
        try:
            place = services.import_hyperpod(actor_of(request), said["account"], said["region"], said["cluster"],
                                             name=said["name"], workspace=said["workspace"])
        except PortalError as error:
            messages.error(request, error.message)
            return back
        messages.success(request, format_html(
            _("{} is imported. Its connection is being tested: <a class=\"underline\" href=\"{}\">look at the place</a>."),
            place.name, reverse("admin:clusters_cluster_change", args=[place.pk])))
        return back

    def _page(
        self, request: HttpRequest, form: WhereForm, found: list[services.Found], *, asked: bool, problem: str,
    ) -> HttpResponse:
        said = form.cleaned_data if asked else {}
        response = TemplateResponse(request, "portal/admin/import_hyperpod.html", {
            **self.admin_site.each_context(request), "opts": self.opts, "title": _("Import HyperPod clusters"),  # type: ignore[attr-defined]
            "form": form, "asked": asked, "problem": problem, "accounts": AwsAccount.objects.exists(),
            "rows": [(one, status_badge(one.cluster.status or "?", STATE_COLOURS.get(one.cluster.status, "warn")),
                      _name_input(one.cluster.name)) for one in found],
            "where": {name: getattr(value, "pk", value) or "" for name, value in said.items()},
            "region": (said.get("region") or said["account"].region) if said else "",
            "back": reverse("admin:clusters_cluster_changelist")})
        response["Cache-Control"] = "no-store"
        return response
