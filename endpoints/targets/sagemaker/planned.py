"""What an endpoint is made of, as documents for people, and what `apply` would change of them now."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from endpoints.planning.diff import HIDDEN, changes, digest, object_of, step_of
from endpoints.targets.base import Plan, Spec, Step

from . import names, scaling
from .bodies import Bodies, deployment
from .calls import Calls
from .container import HUB_TOKEN
from .errors import unless_gone
from .live import Live

Document = dict[str, Any]
NAMES = {"Model": "ModelName", "EndpointConfig": "EndpointConfigName", "Endpoint": "EndpointName",
         "InferenceComponent": "InferenceComponentName"}


def shown(spec: Spec, made: Bodies) -> list[Document]:
    """Every call's parameters as a document of Kind/name; the hub's token shows as a word."""
    documents = [_document("Model", each) for each in made.models]
    counts = {"DesiredInstanceCount": made.counts} if made.counts and spec.autoscale is None else {}
    documents += [_document("EndpointConfig", made.config),
                  _document("Endpoint", {**made.endpoint, **deployment(spec), **counts})]
    if made.component is not None:
        documents.append(_document("InferenceComponent", made.component))
    return documents + [_scaled(each) for each in scaling.wished(spec, made)]


def _document(kind: str, body: Mapping[str, Any]) -> Document:
    content = {key: copy.deepcopy(value) for key, value in body.items() if key not in ("Tags", NAMES[kind])}
    for holder in (content.get("PrimaryContainer", {}), content):
        if HUB_TOKEN in holder.get("Environment", {}):
            holder["Environment"][HUB_TOKEN] = HIDDEN
    tags = {key: value for key, value in names.as_tags(body.get("Tags", ())).items() if key not in (names.ATTEMPT, names.OWNER)}
    return {"kind": kind, "metadata": {"name": body[NAMES[kind]], "tags": tags}, **content}


def _scaled(wish: scaling.Scaled) -> Document:
    return {"kind": "ScalableTarget", "metadata": {"name": wish.resource}, "MinCapacity": wish.minimum,
            "MaxCapacity": wish.maximum, "Policies": {name: dict(policy) for name, policy in wish.policies.items()}}


def plan(calls: Calls, spec: Spec, made: Bodies) -> Plan:
    """Raises AwsError. Nothing is dry-run: SageMaker has no such call, so parameters are checked against its model alone."""
    live = calls.endpoint(spec.external_name)
    if live is not None and names.uid_of(calls.tags(live.arn)) != spec.uid:
        taken = Step("taken", f"Endpoint/{live.name}", _("An endpoint of this name is there and is not the portal's."))
        return Plan((taken,), digest([taken], []))
    there = [_there(calls, live, each) for each in shown(spec, made)]
    steps = [_step(calls, live, before, after) for before, after in there]
    steps += _deregistered(calls, spec, made, live)
    return Plan(tuple(steps), digest(steps, [before for before, _after in there]))


def _there(calls: Calls, live: Live | None, wanted: Document) -> tuple[Document | None, Document]:
    """The object as it is now, with the fields that we send only, and as it would be."""
    wanted = {**wanted, "metadata": {"name": wanted["metadata"]["name"]}}
    said = _READ[wanted["kind"]](calls, live, wanted)
    if said is None:
        return None, wanted
    found = _like(said, wanted)
    if wanted["kind"] == "Model" and HUB_TOKEN in (said.get("PrimaryContainer") or {}).get("Environment", {}):
        found["PrimaryContainer"]["Environment"][HUB_TOKEN] = HIDDEN
    if wanted["kind"] == "EndpointConfig":  # Only a beginning: the number of now is the endpoint's.
        for before, after in zip(found["ProductionVariants"], wanted["ProductionVariants"], strict=False):
            before["InitialInstanceCount"] = after["InitialInstanceCount"]
    return {**found, "kind": wanted["kind"], "metadata": wanted["metadata"]}, wanted


def _like(said: Any, sent: Any) -> Any:
    """Of what is there the part that has a counterpart in what we send; variables of the environment all count."""
    if isinstance(said, Mapping) and isinstance(sent, Mapping):
        return {key: dict(value) if key == "Environment" else _like(value, sent[key]) for key, value in said.items()
                if key in sent}
    if isinstance(said, list) and isinstance(sent, list) and len(said) == len(sent):
        return [_like(each, other) for each, other in zip(said, sent, strict=True)]
    return said


def _describe(operation: str, parameter: str) -> Callable[[Calls, Live | None, Document], Mapping[str, Any] | None]:
    def read(calls: Calls, live: Live | None, wanted: Document) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = unless_gone(lambda: calls.do(operation, **{parameter: wanted["metadata"]["name"]}))
        return found
    return read


def _endpoint(calls: Calls, live: Live | None, wanted: Document) -> Mapping[str, Any] | None:
    """How it was updated last is nothing that it is made of."""
    if live is None:
        return None
    counts = {each.name: each.desired for each in live.variants}
    return {**wanted, "EndpointConfigName": live.config, "DesiredInstanceCount": counts}


def _component(calls: Calls, live: Live | None, wanted: Document) -> Mapping[str, Any] | None:
    """The number of copies under the name by which it is sent; of one that is scaled it is nobody's to change."""
    name = wanted["metadata"]["name"]
    said = unless_gone(lambda: calls.do("describe_inference_component", InferenceComponentName=name))
    if said is None:
        return None
    scaled = bool(calls.scalable([scaling.component_resource(name)]))
    there = wanted["RuntimeConfig"]["CopyCount"] if scaled else said.get("RuntimeConfig", {}).get("DesiredCopyCount")
    return {**said, "RuntimeConfig": {"CopyCount": there}}


def _scalable(calls: Calls, live: Live | None, wanted: Document) -> Mapping[str, Any] | None:
    name = wanted["metadata"]["name"]
    there = next(iter(calls.scalable([name])), None) if live is not None else None
    if there is None:
        return None
    said = calls.aws.pages("application-autoscaling", "describe_scaling_policies", "ScalingPolicies",
                           ServiceNamespace="sagemaker", ResourceId=name, ScalableDimension=scaling.dimension_of(name))
    policies = {each["PolicyName"]: each.get("TargetTrackingScalingPolicyConfiguration", {}) for each in said}
    return {**there, "Policies": policies}


_READ: dict[str, Callable[[Calls, Live | None, Document], Mapping[str, Any] | None]] = {
    "Model": _describe("describe_model", "ModelName"),
    "EndpointConfig": _describe("describe_endpoint_config", "EndpointConfigName"), "Endpoint": _endpoint,
    "InferenceComponent": _component, "ScalableTarget": _scalable,
}


def _step(calls: Calls, live: Live | None, before: Document | None, after: Document) -> Step:
    """A new model or configuration tells what differs from the one that it takes the place of."""
    if before is not None or live is None or after["kind"] != "EndpointConfig":
        return step_of(before, after)
    said = unless_gone(lambda: calls.do("describe_endpoint_config", EndpointConfigName=live.config))
    if said is None:
        return step_of(None, after)
    replaced = {**_like(said, after), "kind": after["kind"], "metadata": after["metadata"]}
    return Step("create", object_of(after), _("in place of %(name)s") % {"name": live.config}, changes(replaced, after))


def _deregistered(calls: Calls, spec: Spec, made: Bodies, live: Live | None) -> list[Step]:
    """Scalable targets that would go: without this the number would be nobody's and everybody's."""
    if live is None:
        return []
    known = [scaling.resource_of(live.name, each.name) for each in live.variants]
    known += [scaling.component_resource(live.name)] if live.has_components else []
    kept = {each.resource for each in scaling.wished(spec, made)}
    return [Step("delete", f"ScalableTarget/{each['ResourceId']}") for each in calls.scalable(known)
            if each["ResourceId"] not in kept]
