"""Triggers of autoscaling as rows: a type, and the fields of that type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from clusters.states import ClusterKind
from endpoints.autoscale.check import INITIAL_COOLDOWN, MOST_REPLICAS, SCALERS, SECONDS, Scaler
from endpoints.autoscale.signals import SIGNALS
from endpoints.autoscale.triggers import Key, TriggerType

from .forms import GenerationForm

ROWS = 4
JOINT = "__"
NONE_AT_ALL = {
    ClusterKind.HYPERPOD: _("0 lets the last replica go; that needs CloudWatch, or a query that is not of the engine."),
    ClusterKind.SAGEMAKER: _("0 lets the last one go; that needs an inference component or an asynchronous endpoint."),
}


class TriggersWidget(forms.Widget):
    """The triggers there are, and empty rows up to ROWS; the page shows the fields of the chosen type only.

    `scaler` is that of the endpoint's kind of place.
    """

    template_name = "endpoints/triggers.html"
    scaler: Scaler = SCALERS[ClusterKind.KUBERNETES]

    def use_required_attribute(self, initial: Any) -> bool:
        return False

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[dict[str, Any]]:
        rows = [self._row(data, f"{name}{JOINT}{index}") for index in range(ROWS)]
        return [row for row in rows if row["type"]]

    def _row(self, data: Mapping[str, Any], prefix: str) -> dict[str, Any]:
        def text(name: str) -> str:
            return str(data.get(f"{prefix}{JOINT}{name}", "")).strip()

        kind = text("type")
        known = self.scaler.triggers
        keys = known[kind].keys if kind in known else {}
        metadata = {key: found for key in keys if (found := text(f"{kind}{JOINT}{key}"))}
        return {"type": kind, "metadata": metadata, "metric_type": text("metric_type"),
                "authentication": text("authentication")}

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        rows = [*(value or []), *[{}] * ROWS][:ROWS]
        return {**super().get_context(name, None, attrs), "rows": [
            self._shown(f"{name}{JOINT}{index}", row, index + 1) for index, row in enumerate(rows)]}

    def _shown(self, prefix: str, row: Mapping[str, Any], number: int) -> dict[str, Any]:
        kinds = [("", _now("– none –")), *((kind, str(rule.label)) for kind, rule in self.scaler.triggers.items())]
        compared = dict.fromkeys(one for rule in self.scaler.triggers.values() for one in rule.metric_types if one)
        metric_types = [("", _now("as it fits")), *((one, one) for one in sorted(compared))]
        return {
            "number": number, "compared": compared, "authenticates": self.scaler.authenticates,
            "type": self._field(prefix, "type", UnfoldAdminSelectWidget(choices=kinds), row.get("type", "")),
            "metric_type": self._field(prefix, "metric_type", UnfoldAdminSelectWidget(choices=metric_types),
                                       row.get("metric_type", "")),
            "authentication": self._field(prefix, "authentication", UnfoldAdminTextInputWidget(),
                                          row.get("authentication", "")),
            "kinds": [self._kind(prefix, kind, rule, row) for kind, rule in self.scaler.triggers.items()],
        }

    def _kind(self, prefix: str, kind: str, rule: TriggerType, row: Mapping[str, Any]) -> dict[str, Any]:
        stored = row.get("metadata", {}) if row.get("type") == kind else {}
        fields = [{**self._field(f"{prefix}{JOINT}{kind}", key, _input(one), stored.get(key, "")), "key": key, "rule": one}
                  for key, one in rule.keys.items()]
        return {"type": kind, "rule": rule, "fields": fields}

    def _field(self, prefix: str, name: str, widget: forms.Widget, value: str) -> dict[str, Any]:
        whole = f"{prefix}{JOINT}{name}"
        return {"id": f"id_{whole}", "input": widget.render(whole, value, {"id": f"id_{whole}"})}


def _input(key: Key) -> forms.Widget:
    choices: list[tuple[str, str]] = [(one, one) for one in key.choices if not key.many]
    if key.kind == "signal":
        choices = [(name, f"{signal.label} ({name})") for name, signal in SIGNALS.items()]
    if key.kind == "switch":
        choices = [("true", "true"), ("false", "false")]
    if choices:
        return UnfoldAdminSelectWidget(choices=[("", "–"), *choices])  # type: ignore[no-any-return]
    return UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"})  # type: ignore[no-any-return]


class TriggersField(forms.Field):
    widget = TriggersWidget

    def clean(self, value: Any) -> list[dict[str, Any]]:
        """As they were entered; the service checks them."""
        found: list[dict[str, Any]] = value or []
        return found


def _seconds(name: str, label: Any, help_text: Any) -> forms.IntegerField:
    least, most, default = SECONDS[name]
    return forms.IntegerField(label=label, min_value=least, max_value=most, initial=default, help_text=help_text,
                              widget=UnfoldAdminIntegerFieldWidget())


class AutoscaleForm(GenerationForm):
    """Bounds, triggers and times. Without a trigger the number of replicas is people's again."""

    min_replicas = forms.IntegerField(label=_("At least"), min_value=0, max_value=MOST_REPLICAS, initial=1,
                                      widget=UnfoldAdminIntegerFieldWidget(), help_text=_(
        "0 lets the last replica go; that needs a trigger that can start one again: HTTP, a queue, or a query of your own."))
    max_replicas = forms.IntegerField(label=_("At most"), min_value=1, max_value=MOST_REPLICAS, initial=4,
                                      widget=UnfoldAdminIntegerFieldWidget(),
                                      help_text=_("Counts against the workspace's limits."))
    triggers = TriggersField(label=_("More replicas when"), required=False, help_text=_(
        "Each of them can ask for more; the highest wish wins. None at all switches autoscaling off."))
    polling_seconds = _seconds("polling_seconds", _("Looks every, seconds"), "")
    cooldown_seconds = _seconds("cooldown_seconds", _("Before the last one goes, seconds"), _("Only for scale to zero."))
    stabilisation_up_seconds = _seconds("stabilisation_up_seconds", _("Before more start, seconds"), "")
    stabilisation_down_seconds = _seconds("stabilisation_down_seconds", _("Before some go, seconds"), _(
        "Long enough that a pause between calls takes no replica away."))

    initial_cooldown_seconds = forms.IntegerField(
        label=_("Before the last one goes after a start, seconds"), required=False, min_value=0, max_value=86_400, initial=300,
        widget=UnfoldAdminIntegerFieldWidget())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = {row.cluster.kind for row in self.rows}
        kind = kinds.pop() if len(kinds) == 1 else ClusterKind.KUBERNETES
        scaler = SCALERS.get(kind, SCALERS[ClusterKind.KUBERNETES])
        self.fields["triggers"].widget.scaler = scaler
        self.fields["min_replicas"].help_text = NONE_AT_ALL.get(kind, self.fields["min_replicas"].help_text)
        for name in {INITIAL_COOLDOWN} - set(scaler.more):
            del self.fields[name]
        if kind == ClusterKind.SAGEMAKER:
            for name in SECONDS:  # its cooldowns are the triggers' own
                self.fields[name].widget = forms.HiddenInput()
        if len(self.rows) == 1:
            self.initial.update(self.rows[0].autoscale)


def wish_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The wish for the service: {} without a trigger."""
    names = ("min_replicas", "max_replicas", "triggers", *SECONDS, INITIAL_COOLDOWN)
    return {name: values[name] for name in names if values.get(name) is not None} if values["triggers"] else {}
