"""The two forms that wish a copy: a row of its own, and the button on a model's page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from clusters.models import Cluster
from clusters.states import KUBERNETES_KINDS
from models_catalog.models import Artifact, ModelCopy
from models_catalog.preheating.source import BY_DATASET
from models_catalog.states import AccessMode
from portal.tenancy.adminkit import ConfirmForm
from portal.tenancy.models import Workspace

from .forms import GibField

SIZE_HELP = _("Empty takes the size of the weights, a fifth and 1 GiB of room.")
NOT_SHARED = _("all workspaces: one shared copy")


def copied(artifacts: Any) -> Any:
    """The artifacts that can be put onto a cluster at all."""
    return artifacts.filter(kind__in=BY_DATASET)


class CopyForm(forms.ModelForm[ModelCopy]):
    size_bytes = GibField(label=_("Volume, GiB"), required=False, help_text=SIZE_HELP)

    class Meta:
        model = ModelCopy
        fields = ("artifact", "cluster", "workspace", "size_bytes", "storage_class", "access_mode")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "artifact" in self.fields:  # a copy that is there is only shown
            artifact, cluster = self.fields["artifact"], self.fields["cluster"]
            artifact.queryset = copied(artifact.queryset).select_related("model")  # type: ignore[attr-defined]
            artifact.label_from_instance = lambda row: f"{row.model} · {row}"  # type: ignore[attr-defined]
            cluster.queryset = cluster.queryset.filter(kind__in=KUBERNETES_KINDS)  # type: ignore[attr-defined]
            self.fields["workspace"].empty_label = NOT_SHARED  # type: ignore[attr-defined]

    def _get_validation_exclusions(self) -> set[str]:
        """An empty size follows from the weights, which the service knows."""
        return {*super()._get_validation_exclusions(), "size_bytes"}  # type: ignore[misc]


class PreheatForm(ConfirmForm):
    """Where one model's weights are put; the model is the row."""

    artifact = forms.ModelChoiceField(Artifact.objects.none(), label=_("Weights"), widget=UnfoldAdminSelectWidget())
    cluster = forms.ModelChoiceField(Cluster.objects.none(), label=_("Cluster"), widget=UnfoldAdminSelectWidget())
    workspace = forms.ModelChoiceField(Workspace.objects.none(), label=_("For"), required=False, empty_label=NOT_SHARED,
                                       widget=UnfoldAdminSelectWidget())
    size_bytes = GibField(label=_("Volume, GiB"), required=False, help_text=SIZE_HELP)
    storage_class = forms.CharField(label=_("Storage class"), required=False, max_length=63, help_text=_(
        "Empty takes the cluster's default."), widget=UnfoldAdminTextInputWidget())
    access_mode = forms.ChoiceField(label=_("Read by"), choices=AccessMode.choices, widget=UnfoldAdminSelectWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assert self.request is not None, "the kit gives every form its request"
        user = self.request.user
        offered = {"artifact": copied(Artifact.objects.filter(model__in=[row.pk for row in self.rows])),
                   "cluster": Cluster.objects.all().visible_to(user).filter(kind__in=KUBERNETES_KINDS),
                   "workspace": Workspace.objects.all().visible_to(user)}
        for name, rows in offered.items():
            self.fields[name].queryset = rows  # type: ignore[attr-defined]
        first = offered["artifact"].first()
        self.fields["artifact"].initial = first.pk if first else None
