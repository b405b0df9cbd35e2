"""What a person types on the deploy page. Which model, place and profile are meant is read in `draft`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from clusters.states import ClusterKind
from endpoints.autoscale.check import MOST_REPLICAS
from endpoints.models.endpoint import public_name_rule
from endpoints.services.wishes import MAX_REPLICAS
from endpoints.states import Affinity
from portal.tenancy.models.people import slug_rule

from .fields import NumbersField, PlainArgumentsField, PlainOptionsField, VariablesField

SIZES = ("1", "2", "4")
OTHER = "other"
# What tells an autoscaler that more are needed, by kind of place: value, words, unit of the amount, a first amount.
SIGNALS: Mapping[str, tuple[tuple[str, str | Promise, str], ...]] = {
    ClusterKind.KUBERNETES: (
        ("waiting", _("waiting requests for each replica"), "5"), ("running", _("running requests for each replica"), "32"),
        ("kv-cache", _("share of the KV cache in use, 0 to 1"), "0.8"),
        ("ttft-p95", _("seconds to the first token, 95 of 100 calls"), "2"),
        ("http", _("open calls for each replica, by KEDA's HTTP add-on"), "32"),
    ),
    ClusterKind.HYPERPOD: (
        ("waiting", _("waiting requests for each replica"), "5"), ("running", _("running requests for each replica"), "32"),
        ("kv-cache", _("share of the KV cache in use, 0 to 1"), "0.8"),
    ),
    ClusterKind.SAGEMAKER: (
        ("SageMakerVariantConcurrentRequestsPerModelHighResolution", _("calls at the same time on an instance"), "8"),
        ("SageMakerVariantInvocationsPerInstance", _("calls a minute on an instance"), "60"),
    ),
}


class DeployForm(forms.Form):
    """Every field with a default, so that three choices are enough."""

    size = forms.ChoiceField(choices=[*((size, size) for size in SIZES), (OTHER, OTHER)], required=False)
    replicas = forms.IntegerField(min_value=1, max_value=MAX_REPLICAS, required=False)
    instance = forms.CharField(max_length=60, required=False)
    name = forms.CharField(max_length=63, validators=[slug_rule], error_messages={
        "required": _("Give the endpoint a name, such as docs-chat.")})
    public_name = forms.CharField(max_length=128, required=False, validators=[public_name_rule])
    arguments = PlainArgumentsField()
    environment = VariablesField()
    scaling = forms.BooleanField(required=False)
    min_replicas = forms.IntegerField(min_value=0, max_value=MOST_REPLICAS, required=False)
    max_replicas = forms.IntegerField(min_value=1, max_value=MOST_REPLICAS, required=False)
    signal = forms.CharField(max_length=80, required=False)
    threshold = forms.CharField(max_length=20, required=False)
    affinity = forms.ChoiceField(choices=Affinity.choices, required=False)
    devices = NumbersField()
    options = PlainOptionsField()
    note = forms.CharField(max_length=200, required=False)
    read_generation = forms.IntegerField(required=False)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        if said.get("size") == OTHER and not said.get("replicas") and "replicas" not in self.errors:
            self.add_error("replicas", _now("Write how many replicas."))
        return said

    @property
    def count(self) -> int:
        """How many replicas were chosen; 1 where the field has an error."""
        said = self.cleaned_data
        return int(said.get("replicas") or 1) if said.get("size") == OTHER else int(said.get("size") or 1)
