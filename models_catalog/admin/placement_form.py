"""A profile's placement as lines of text, as people write labels and taints with kubectl."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

# key[=value][:Effect][ seconds], the form of `kubectl taint`.
TOLERATION = re.compile(r"(?P<key>[^=:\s]+)(?:=(?P<value>[^:\s]*))?(?::(?P<effect>[A-Za-z]+))?(?:\s+(?P<seconds>[0-9]{1,9})s)?")


def selector_lines(selector: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in selector.items())


def toleration_lines(tolerations: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(_toleration_line(one) for one in tolerations)


def _toleration_line(one: Mapping[str, Any]) -> str:
    value = f"={one.get('value', '')}" if one.get("operator", "Equal") == "Equal" else ""
    effect = f":{one['effect']}" if one.get("effect") else ""
    seconds = f" {one['tolerationSeconds']}s" if "tolerationSeconds" in one else ""
    return f"{one.get('key', '')}{value}{effect}{seconds}"


def read_selector(text: str) -> dict[str, str]:
    """Raises ValidationError for a line that is no label."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        key, equals, value = line.partition("=")
        if not equals or key in found:
            raise forms.ValidationError(_now("Write each label once, as name=value: %(line)s") % {"line": line[:100]})
        found[key.strip()] = value.strip()
    return found


def read_tolerations(text: str) -> list[dict[str, Any]]:
    """Without a value the operator is Exists, which fits any. Raises ValidationError."""
    return [_toleration(line) for line in filter(None, map(str.strip, text.splitlines()))]


def _toleration(line: str) -> dict[str, Any]:
    match = TOLERATION.fullmatch(line)
    if match is None:
        raise forms.ValidationError(_now("Write each toleration as key:Effect or key=value:Effect: %(line)s")
                                    % {"line": line[:100]})
    found: dict[str, Any] = {"key": match["key"], "operator": "Exists" if match["value"] is None else "Equal"}
    if match["value"] is not None:
        found["value"] = match["value"]
    if match["effect"]:
        found["effect"] = match["effect"]
    if match["seconds"]:
        found["tolerationSeconds"] = int(match["seconds"])
    return found


def _lines(rows: int = 3) -> UnfoldAdminTextareaWidget:
    return UnfoldAdminTextareaWidget(attrs={"rows": rows, "class": "mono", "spellcheck": "false"})


class PlacementFields(forms.Form):
    """The four parts of a placement; `placement_of` puts them together again."""

    node_selector = forms.CharField(label=_("Node labels"), required=False, max_length=8000, widget=_lines(), help_text=_(
        "Only nodes with all of these labels, one a line: nvidia.com/gpu.product=NVIDIA-H200."))
    tolerations = forms.CharField(label=_("Tolerated taints"), required=False, max_length=8000, widget=_lines(), help_text=_(
        "One a line: key:Effect fits any value of the taint (Exists), key=value:Effect that one only. Clusters differ in the "
        "value, so leave it out where you can. The taint nvidia.com/gpu is tolerated anyway where GPUs are asked for."))
    priority_class = forms.CharField(label=_("Priority class"), required=False, max_length=253,
                                     widget=UnfoldAdminTextInputWidget())
    runtime_class = forms.CharField(label=_("Runtime class"), required=False, max_length=253,
                                    widget=UnfoldAdminTextInputWidget(),
                                    help_text=_("Such as nvidia, where a cluster asks for it."))

    def clean_node_selector(self) -> dict[str, str]:
        return read_selector(self.cleaned_data["node_selector"])

    def clean_tolerations(self) -> list[dict[str, Any]]:
        return read_tolerations(self.cleaned_data["tolerations"])


PARTS = tuple(PlacementFields.base_fields)


def initial_of(placement: Mapping[str, Any]) -> dict[str, str]:
    """What the fields show of a stored placement."""
    return {
        "node_selector": selector_lines(placement.get("node_selector", {})),
        "tolerations": toleration_lines(placement.get("tolerations", ())),
        "priority_class": placement.get("priority_class", ""), "runtime_class": placement.get("runtime_class", ""),
    }
