"""Pages for autoscaling, and for endpoints as YAML."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from clusters.models import Cluster
from endpoints import services
from endpoints.autoscale import check_autoscale, sentences
from endpoints.models import Endpoint
from endpoints.services.exports import Form, export
from endpoints.services.imports import MOST_BYTES, import_yaml
from portal.tenancy.actor import Actor
from portal.tenancy.adminkit import actor_of, confirmed
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from .plan import previewed
from .trigger_form import AutoscaleForm, wish_of

FILE_NAMES = {Form.VLLMCLUSTER: "vllmcluster.yaml", Form.MANIFESTS: "manifests.yaml", Form.HELM: "values.yaml"}


def plan_autoscale(actor: Actor, row: Endpoint, **values: Any) -> services.Planned:
    return services.plan_change(actor, row, autoscale=wish_of(values))


def scaling_of(row: Endpoint) -> dict[str, Any]:
    """What the endpoint's page says of its scaling and its owner."""
    origin = row.origin
    return {"sentences": sentences(row.autoscale), "notes": [clean(note, 1000) for note in row.notes], "now": row.replicas_now,
            "origin": f"{origin['kind']} {origin['namespace']}/{origin['name']}" if origin else "",
            "forms": [(form, label) for form, label in zip(Form, ("VLLMCluster", _now("manifests"), _now("Helm values")),
                                                           strict=True)]}


class ImportForm(forms.Form):
    workspace = forms.ModelChoiceField(label=_("Workspace"), queryset=Workspace.objects.none(),
                                       widget=UnfoldAdminSelectWidget())
    place = forms.ModelChoiceField(label=_("Place"), queryset=Cluster.objects.none(), widget=UnfoldAdminSelectWidget())
    name = forms.CharField(label=_("Name"), required=False, max_length=63, widget=UnfoldAdminTextInputWidget(),
                           help_text=_("Empty takes the object's."))
    file = forms.FileField(label=_("File"), required=False, help_text=_("One VLLMCluster; or paste it below."))
    yaml = forms.CharField(label=_("YAML"), required=False, max_length=MOST_BYTES, strip=False,
                           widget=UnfoldAdminTextareaWidget(attrs={"rows": 18, "class": "mono", "spellcheck": "false"}))
    deploy_now = forms.BooleanField(label=_("Deploy now"), required=False, initial=True, widget=UnfoldBooleanWidget(),
                                    help_text=_("Without the tick the endpoint is made, but stays stopped."))

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        upload = found.get("file")
        text = upload.read(MOST_BYTES + 1) if upload else found.get("yaml", "")
        if not text:
            self.add_error("yaml", _now("Paste a VLLMCluster, or choose a file."))
        return {**found, "text": text}


class ScalingPages:
    """For the admin of endpoints: the action “Autoscale”, the import, and the exports."""

    @confirmed(_("Autoscale"), permission="scale", preview=previewed(plan_autoscale), form=AutoscaleForm, icon="speed",
               explain=_("The place's autoscaler chooses the number of replicas between two bounds, by what it measures. "
                         "Without a trigger the number is yours again."))
    def autoscale(self, request: HttpRequest, row: Endpoint, *, generation: int | None = None, **values: Any) -> None:
        wish = wish_of(values)
        services.set_autoscale(actor_of(request), row, wish, expected_generation=generation)
        options = row.wanted.spec.get("options") if row.wanted else None
        for note in check_autoscale(wish, row.cluster.kind, options)[1]:
            messages.info(request, note)

    def scaling_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view  # type: ignore[attr-defined]
        return [path("<int:pk>/export/<slug:form>/", view(self.export_view), name="endpoints_endpoint_export")]

    def export_view(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        """The endpoint as a file of YAML."""
        if not self.has_view_or_change_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        row = self.scoped_queryset(request).filter(pk=pk).first()  # type: ignore[attr-defined]
        if row is None or form not in FILE_NAMES:
            raise Http404
        try:
            text = export(row, form)
        except PortalError as error:
            messages.error(request, error.message)
            return HttpResponseRedirect(reverse("admin:endpoints_endpoint_change", args=[pk]))
        return HttpResponse(text, content_type="application/yaml; charset=utf-8", headers={
            "Content-Disposition": f'attachment; filename="{row.name}-{FILE_NAMES[Form(form)]}"', "Cache-Control": "no-store"})

    @action(description=_("Import YAML"), url_path="import-yaml", permissions=["add"], icon="upload")  # type: ignore[untyped-decorator]
    def import_page(self, request: HttpRequest) -> HttpResponse:
        """A VLLMCluster from a file or a text becomes an endpoint."""
        actor = actor_of(request)
        form = ImportForm(request.POST or None, request.FILES or None)
        form.fields["workspace"].queryset = actor.scope(Verb.MANAGE)  # type: ignore[attr-defined]
        form.fields["place"].queryset = self.choices_for(request, Cluster)  # type: ignore[attr-defined]
        if request.method == "POST" and form.is_valid():
            made = self._import(request, actor, form)
            if made is not None:
                return HttpResponseRedirect(reverse("admin:endpoints_endpoint_change", args=[made.pk]))
        return TemplateResponse(request, "portal/admin/import_yaml.html", {
            **self.admin_site.each_context(request), "opts": self.opts, "title": _now("Import YAML"),  # type: ignore[attr-defined]
            "form": form, "back": reverse("admin:endpoints_endpoint_changelist")})

    def _import(self, request: HttpRequest, actor: Actor, form: ImportForm) -> Endpoint | None:
        said = form.cleaned_data
        if said["deploy_now"] and not self.has_deploy_permission(request):  # type: ignore[attr-defined]
            form.add_error("deploy_now", _now("You may make endpoints but not deploy them. Take the tick away."))
            return None
        try:
            made = import_yaml(actor, said["workspace"], said["place"], said["text"], name=said["name"],
                               deploy=said["deploy_now"])
        except PortalError as error:
            form.add_error(error.field if error.field in form.fields else "yaml", error.message)
            return None
        for note in made.notes:
            messages.warning(request, note)
        return made
