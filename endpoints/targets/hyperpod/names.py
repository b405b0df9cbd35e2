"""Names, labels and options of what the portal makes for the HyperPod inference operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import INFERENCE_ENDPOINT_CONFIG, JUMPSTART_MODEL, Kind
from clusters.namespaces import ENDPOINT_UID, MANAGED_BY, MANAGER, REVISION
from endpoints.states import Cause
from endpoints.targets.base import RevisionSpec, Spec, TargetError
from endpoints.targets.kubernetes.names import DNS_LABEL
from models_catalog.choices import ArtifactKind

# What the operator derives from a name has to fit into 63 characters: `prefetch-<name>-inf`, and with routing
# `<name>-<namespace>-router` and `alb-<name>-<namespace>` (facts.md 1.12), which leaves 39 for a short namespace only.
MOST_CHARS, MOST_ROUTED_CHARS = 50, 39
DERIVED_CHARS, ROUTER_CHARS = 63, len("--router")
HASH_CHARS = 11  # a hyphen and 10 hex at the end of an external name
# The operator's labels on the pods of an endpoint (facts.md 1.10, 1.13), beside `app`, which is the object's name.
DEPLOYING, OPERATOR = "deploying-service", "hyperpod-inference"
OPERATOR_NAMESPACE = "hyperpod-inference-system"
# Kueue's labels (kueue.sigs.k8s.io). On HyperPod they stand on the object that the operator reads; not verified on AWS.
QUEUE, PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
# In the environment of a pod's engine, because nothing else of ours reaches the pods.
REVISION_VARIABLE = "PORTAL_REVISION"
ENTRANCE = "inference-portal/entrance"  # an annotation: how the portal's gateway calls it
# Of the annotation `AUTOSCALED`: the number of replicas is ours again, and the operator has not let go of it yet.
GIVEN_BACK = "back"
BY_CLUSTER, BY_LOAD_BALANCER, BY_SAGEMAKER = "cluster", "load-balancer", "sagemaker"
# Options that are no fields of the operator's objects.
OWN_OPTIONS = frozenset({"entrance", "queue", "priorityClass"})


def kind_for(revision: RevisionSpec) -> Kind:
    return JUMPSTART_MODEL if revision.artifact_kind == ArtifactKind.JUMPSTART else INFERENCE_ENDPOINT_CONFIG


def is_routed(options: Mapping[str, Any]) -> bool:
    """Whether the operator puts its router before the pods."""
    return bool((options.get("intelligentRoutingSpec") or {}).get("enabled"))


def entrance_of(options: Mapping[str, Any]) -> str:
    return str(options.get("entrance") or BY_CLUSTER)


def named_here(spec: Spec) -> Spec:
    """The same under the name that it has on HyperPod: cut shorter where the operator adds more to it."""
    return shortened(spec) if is_routed(spec.wanted.options) else spec


def shortened(spec: Spec) -> Spec:
    """The slug gives way, and the hash stays; `check_name` refuses where that is not enough."""
    slug, tail = spec.external_name[:-HASH_CHARS], spec.external_name[-HASH_CHARS:]
    room = max(1, routed_chars(spec.namespace) - HASH_CHARS)
    return replace(spec, external_name=f"{slug[:room].rstrip('-')}{tail}")


def routed_chars(namespace: str) -> int:
    """How long a name may be where the operator adds this namespace to it."""
    return min(MOST_ROUTED_CHARS, DERIVED_CHARS - ROUTER_CHARS - len(namespace))


def check_name(spec: Spec) -> None:
    """Raises TargetError, permanent."""
    most = routed_chars(spec.namespace) if is_routed(spec.wanted.options) else MOST_CHARS
    if most <= HASH_CHARS:
        raise TargetError(Cause.INVALID, _(
            "The workspace's namespace %(namespace)s is too long for intelligent routing: the operator adds it to each name. "
            "Switch routing off, or use a workspace with a shorter name.") % {"namespace": spec.namespace}, permanent=True)
    if len(spec.object_name) > most or not DNS_LABEL.fullmatch(spec.object_name):
        raise TargetError(Cause.INVALID, _(
            "The name %(name)s can't be used on HyperPod: choose one of at most %(most)d lower-case letters, digits and "
            "hyphens that starts with a letter.") % {"name": spec.object_name, "most": most}, permanent=True)


def calls_name(name: str) -> str:
    """Our own Service before the pods, for where none of the operator's is found."""
    return f"{name}-calls"


def pods_by(name: str) -> dict[str, str]:
    """What picks the pods that the operator makes of the object of this name."""
    return {"app": name, DEPLOYING: OPERATOR}


def selector_of(name: str) -> str:
    return ",".join(f"{key}={value}" for key, value in pods_by(name).items())


def labels(spec: Spec) -> dict[str, str]:
    return {ENDPOINT_UID: str(spec.uid), MANAGED_BY: MANAGER}


def manifest(kind: Kind, spec: Spec, name: str, /, **parts: Any) -> dict[str, Any]:
    """The shell of one object with our labels."""
    return {"apiVersion": kind.api_version, "kind": kind.kind,
            "metadata": {"name": name, "namespace": spec.namespace, "labels": labels(spec)}, **parts}


def operator_object(spec: Spec, body: Mapping[str, Any]) -> dict[str, Any]:
    """What the operator reads, with Kueue's labels and our marks. A change of marks alone restarts nothing."""
    options = spec.wanted.options
    kueue = {QUEUE: options.get("queue"), PRIORITY: options.get("priorityClass")}
    made = manifest(kind_for(spec.wanted), spec, spec.object_name, spec=dict(body))
    made["metadata"]["labels"] |= {key: str(value) for key, value in kueue.items() if value}
    made["metadata"]["annotations"] = {REVISION: str(spec.wanted.number), ENTRANCE: entrance_of(options)}
    return made
