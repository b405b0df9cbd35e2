"""From the form to what the services take: the same for a plan and for the wish itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from clusters.states import ClusterKind
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.plan import Planned

from .draft import Draft
from .fields import same

NOT_PLANNED = ("affinity", "note")


def plan_of(draft: Draft) -> Planned:
    """What the form would make or change. Raises any refusal, with its field."""
    values = {name: value for name, value in wish_of(draft).items() if name not in NOT_PLANNED}
    if draft.endpoint is not None:
        return services.plan_change(draft.visit.actor, draft.endpoint, **values)
    return services.plan_creation(draft.visit.actor, draft.workspace, uid=draft.uid, **values)


def make(draft: Draft) -> Endpoint:
    """The new endpoint, or the endpoint with its new wish."""
    values = wish_of(draft)
    if draft.endpoint is not None:
        return services.change(draft.visit.actor, draft.endpoint,
                               expected_generation=draft.form.cleaned_data["read_generation"], **values)
    return services.create(draft.visit.actor, draft.workspace, uid=draft.uid, **values)


def wish_of(draft: Draft) -> dict[str, Any]:
    """Arguments for `create` and `plan_creation`, or, of an endpoint, what differs for `change` and `plan_change`."""
    assert draft.place is not None, "a form without errors has a place"
    assert draft.profile is not None, "and a profile"
    said = draft.form.cleaned_data
    found = {
        "profile": draft.profile, "replicas": draft.form.count, "affinity": said["affinity"], "note": said["note"],
        "arguments": _changes(draft.profile.arguments, draft.base[0], said["arguments"]),
        "environment": _changes(draft.profile.environment, draft.base[1], said["environment"]),
        "devices": said["devices"], "options": options_of(draft), "autoscale": autoscale_of(draft),
    }
    if draft.endpoint is not None:
        return _what_differs(draft.endpoint, found)
    return {**found, "name": said["name"], "public_name": said["public_name"], "cluster": draft.place.cluster,
            "autoscale": found["autoscale"] or {}}


def _changes(own: Mapping[str, Any], base: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was typed as changes to the profile's own values; None where it is as it was."""
    if same(base, new):
        return None
    return {**{name: None for name in own if name not in new}, **new}


def options_of(draft: Draft) -> dict[str, Any]:
    """Options of the place with the type of machine from its own field, unless the options say on what it runs."""
    options: dict[str, Any] = copy.deepcopy(draft.form.cleaned_data["options"])
    instance = draft.form.cleaned_data["instance"]
    if not instance or not draft.options_kind:
        return options
    if draft.options_kind == "JumpStartModel":
        options.setdefault("server", {}).setdefault("instanceType", instance)
    elif draft.kind == ClusterKind.SAGEMAKER and not {"InstancePools", "Variants"} & options.keys():
        options.setdefault("InstanceType", instance)
    elif draft.kind == ClusterKind.HYPERPOD and not {"instanceTypes", "nodeAffinity"} & options.keys():
        options.setdefault("instanceType", instance)
    return options


def autoscale_of(draft: Draft) -> dict[str, Any] | None:
    """One trigger between two bounds; {} switches autoscaling off, None leaves what the page does not show as it is."""
    said = draft.form.cleaned_data
    there: dict[str, Any] = draft.endpoint.autoscale if draft.endpoint else {}
    if not said["scaling"]:
        return {}
    bounds = {name: said[name] for name in ("min_replicas", "max_replicas") if said[name] is not None}
    if there and not said["signal"]:
        return {**there, **bounds}
    return {**bounds, "triggers": [_trigger(draft.kind, said["signal"], said["threshold"])]}


def _trigger(kind: str, signal: str, amount: str) -> dict[str, Any]:
    if kind == ClusterKind.SAGEMAKER:
        return {"type": "sagemaker", "metadata": {"metric": signal, "target": amount}}
    if signal == "http":
        return {"type": "http", "metadata": {"concurrency": amount}}
    name = "targetValue" if kind == ClusterKind.HYPERPOD else "threshold"
    return {"type": "prometheus", "metadata": {"signal": signal, name: amount}}


def _what_differs(endpoint: Endpoint, found: Mapping[str, Any]) -> dict[str, Any]:
    wanted = endpoint.wanted
    spec = wanted.spec if wanted else {}
    was = {
        "profile": wanted.profile if wanted else None, "replicas": endpoint.replicas, "affinity": endpoint.affinity,
        "devices": list(spec.get("resources", {}).get("devices", ())), "options": spec.get("options", {}),
        "autoscale": endpoint.autoscale, "arguments": None, "environment": None,
    }
    differs = {name: value for name, value in found.items() if name in was and value is not None
               and (value != was[name] if name == "profile" else not same(value, was[name]))}
    if found["autoscale"]:
        differs.pop("replicas", None)  # the autoscaler's number
    return {**differs, "note": found["note"]} if differs else {}
