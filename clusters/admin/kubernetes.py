"""The part of a place's page that is about its Kubernetes API: a write-only connection, and what was found there."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from clusters import rbac, services
from clusters.capabilities import CAPABILITIES
from clusters.kubeconfig import MOST_BYTES
from clusters.models import Cluster, KubernetesAccess
from clusters.states import COLOURS, KUBERNETES_KINDS, ClusterKind, Reach, Through
from portal.tenancy.adminkit import ConfirmForm, actor_of, sheet, status_badge
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

CONNECTION = ("kubeconfig", "kubeconfig_file", "server", "ca", "token", "client_certificate", "client_key", "through_agent")
CHOICES = ("gateway", "cors_origins", "prometheus", "imports_to")
FOUND = ("connected", "kubernetes_version", "capabilities", "rights")
MOST_NAMED = 50
MANIFEST, EKS_MANIFEST = "inference-portal-rights.yaml", "inference-portal-rights-eks.yaml"


class UnshownTextarea(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """For secrets of several lines: a refused form comes back without them, as with a password."""

    def format_value(self, value: Any) -> str:
        return ""


def _pem(rows: int = 4, widget: type[UnfoldAdminTextareaWidget] = UnfoldAdminTextareaWidget) -> UnfoldAdminTextareaWidget:
    return widget(attrs={"rows": rows, "spellcheck": "false", "autocomplete": "off"})


class Lines(forms.CharField):
    """Text of several lines; browsers end each with CR LF, which is no change."""

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class PlaceForm(forms.ModelForm[Cluster]):
    """A place with the fields of its Kubernetes connection. Secrets go in and are never shown again."""

    kubeconfig = forms.CharField(
        label=gettext_lazy("Kubeconfig"), required=False, widget=_pem(6, UnshownTextarea), strip=False, max_length=MOST_BYTES,
        help_text=gettext_lazy("Paste what “kubectl config view --minify --flatten --raw” prints. Only the address, the CA "
                               "and a token or client certificate are kept; commands and file paths are refused."))
    kubeconfig_file = forms.FileField(label=gettext_lazy("or a kubeconfig file"), required=False,
                                      widget=UnfoldAdminFileFieldWidget())
    server = forms.CharField(label=gettext_lazy("API server"), required=False, max_length=300,
                             widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "https://10.0.0.1:6443"}),
                             help_text=gettext_lazy("Instead of a kubeconfig; https only."))
    ca = Lines(label=gettext_lazy("CA certificate"), required=False, widget=_pem(),
               help_text=gettext_lazy("PEM; empty trusts the public CAs."))
    token = forms.CharField(label=gettext_lazy("Token"), required=False, widget=UnfoldAdminPasswordWidget(
        attrs={"autocomplete": "off"}), help_text=gettext_lazy("Of a service account. It is never shown again."))
    client_certificate = Lines(label=gettext_lazy("or a client certificate"), required=False, widget=_pem(), help_text="PEM.")
    client_key = Lines(label=gettext_lazy("its key"), required=False, widget=_pem(widget=UnshownTextarea),
                       help_text=gettext_lazy("PEM without a passphrase. It is never shown again."))
    through_agent = forms.BooleanField(
        label=gettext_lazy("Through an agent in the cluster"), required=False, widget=UnfoldBooleanWidget(),
        help_text=gettext_lazy("For clusters that the portal can't reach: an agent there calls out. No credential is kept."))
    gateway = forms.ChoiceField(
        label=gettext_lazy("Gateway"), required=False, widget=UnfoldAdminSelectWidget(),
        help_text=gettext_lazy("Which Gateway of the cluster calls enter by; without one they go through the API server."))
    cors_origins = Lines(
        label=gettext_lazy("CORS origins"), required=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=gettext_lazy("Web pages that may call endpoints through the Gateway, one a line; * for all."))
    prometheus = forms.CharField(
        label="Prometheus", required=False, max_length=300,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "http://prometheus.monitoring:9090"}),
        help_text=gettext_lazy("Its address inside the cluster, for autoscaling by the engines' metrics."))
    imports_to = forms.ModelChoiceField(
        Workspace.objects.none(), label=gettext_lazy("VLLMClusters belong to"), required=False,
        widget=UnfoldAdminSelectWidget(), empty_label=gettext_lazy("nobody: leave them alone"),
        help_text=gettext_lazy("The workspace that owns endpoints made from VLLMCluster objects."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        access = access_of(self.instance)
        self.access = access
        self.fields["imports_to"].queryset = Workspace.objects.all()  # type: ignore[attr-defined]
        known = access.capabilities.get("gateway", {}).get("names", []) if access else []
        names = dict.fromkeys([*known, *filter(None, [access.gateway if access else ""])])
        self.fields["gateway"].choices = [("", _("none: through the API server")), *((n, n) for n in names)]  # type: ignore[attr-defined]
        if access is not None:
            self.initial = {
                **self.initial, "server": access.server, "ca": access.ca.strip(), "gateway": access.gateway,
                "prometheus": access.prometheus, "imports_to": access.imports_to_id,
                "cors_origins": "\n".join(access.cors_origins), "through_agent": access.through == Through.AGENT}

    def given(self, *names: str) -> dict[str, Any]:
        """What the person changed of these fields."""
        return {name: self.cleaned_data[name] for name in names if name in self.changed_data and name in self.cleaned_data}


def access_of(place: Cluster) -> KubernetesAccess | None:
    """The access that the page's row came with, None for a place that is not saved or not connected."""
    return getattr(place, "access", None) if place.pk else None


def save_connection(request: HttpRequest, place: Cluster, form: PlaceForm) -> None:
    """Hand what the form has on to the service. Raises PortalError with the field."""
    given = form.given(*CONNECTION, *CHOICES)
    if given and place.kind not in KUBERNETES_KINDS:
        raise Invalid(_("This kind of place has no Kubernetes API: leave these fields empty."), field=next(iter(given)))
    file = given.pop("kubeconfig_file", None)
    if file:
        given["kubeconfig"] = file.read(MOST_BYTES + 1)
    if "cors_origins" in given:
        given["cors_origins"] = given["cors_origins"].split()
    for warning in services.set_up(actor_of(request), place, given):
        messages.warning(request, f"{place}: {warning}")


def connection_cell(place: Cluster, *, whole: bool = False) -> SafeString | str:
    """Whether the portal gets through, and since when that was tested; `whole` with what the cluster said."""
    access = access_of(place)
    if access is None:
        return _("not connected yet") if place.kind in KUBERNETES_KINDS else "–"
    return status_badge(Reach(access.reach).label, COLOURS[access.reach], seen=access.checked_at,
                        note=access.message if whole else "")


def version_cell(place: Cluster) -> str:
    access = access_of(place)
    return (access.version if access else "") or "–"


def capabilities_cell(place: Cluster) -> SafeString | str:
    access = access_of(place)
    if access is None or not access.capabilities:
        return "–"
    found = [(one, access.capabilities.get(one.name, {})) for one in CAPABILITIES]
    return sheet("portal/admin/cluster_found.html", rows=[
        (one, access.has(one.name), there.get("release") or there.get("version", "")) for one, there in found])


def rights_cell(place: Cluster) -> SafeString | str:
    """Which rights are missing, and the command that grants them."""
    access = access_of(place)
    missing = access.missing_rights if access else []
    known = bool(access and access.version)
    entry = _access_entry(place) if access is not None and access.through == Through.EKS else {}
    return sheet("portal/admin/cluster_rights.html", missing=missing, known=known, account=rbac.ACCOUNT, home=rbac.HOME,
                 manifest=EKS_MANIFEST if entry else MANIFEST, secret=rbac.TOKEN_SECRET, entry=entry)


def _access_entry(place: Cluster) -> dict[str, str]:
    """What lets the portal's AWS identity into an EKS cluster; for the session of a role that is the role's own."""
    side = getattr(place, "aws", None)
    if side is None:
        return {}
    principal = side.account.role_arn or side.account.arn or "arn:aws:iam::…:role/…"
    return {"eks": side.eks_name, "region": side.region, "principal": principal}


def manifest_response(*, eks: bool = False) -> HttpResponse:
    response = HttpResponse(rbac.manifest(eks=eks), content_type="application/yaml")
    response["Content-Disposition"] = f'attachment; filename="{EKS_MANIFEST if eks else MANIFEST}"'
    return response


class ForgetForm(ConfirmForm):
    """Says what stays behind before a cluster is forgotten."""

    known = forms.BooleanField(label=gettext_lazy("I know what stays there"), widget=UnfoldBooleanWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        left = [name for row in self.rows for name in services.orphans(row)]
        named = ", ".join(left[:MOST_NAMED]) + (", …" if len(left) > MOST_NAMED else "")
        self.fields["known"].help_text = (
            _("Should the place come back, these run on without the portal: %(names)s.") % {"names": named}
            if left else _("No endpoint of the portal is there."))


def action_names(place: Cluster) -> tuple[str, ...]:
    """The buttons that make sense on a place's page."""
    if place.kind == ClusterKind.HOSTS:
        return ("add_host",)
    in_aws = getattr(place, "aws", None) is not None
    if place.kind not in KUBERNETES_KINDS:
        return ("test_connection", "forget") if in_aws else ("forget",)
    access = access_of(place)
    agent = ("add_agent",) if access and access.through == Through.AGENT else ()
    size = ("resize",) if in_aws else ()
    return (*agent, *(("test_connection", "refresh") if access else ()), *size, "forget")
