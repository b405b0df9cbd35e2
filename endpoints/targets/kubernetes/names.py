"""Names and labels of an endpoint's objects. Every derived name fits into the 63 characters of a label."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from django.utils.translation import gettext as _

from clusters.drivers.kinds import Kind
from clusters.namespaces import ENDPOINT_UID, MANAGED_BY, MANAGER
from endpoints.states import Cause
from endpoints.targets.base import Spec, TargetError

# A StatefulSet labels its pods with its name and 11 more characters; the longest suffix of ours has 13.
MOST_CHARS = 50
DNS_LABEL = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
# LeaderWorkerSet numbers the pods of a group; 0 leads (facts.md 3.5).
LWS_WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
LWS_GROUP_INDEX = "leaderworkerset.sigs.k8s.io/group-index"
# Annotations. On each object what was sent last, so that nothing is sent twice; the others on the workload only.
APPLIED = "inference-portal/applied"
GENERATION = "inference-portal/generation"  # the wish that it was sent for
SURGE = "inference-portal/surge"            # one replica too many, for the time of an update
AUTOSCALED = "inference-portal/autoscaled"  # yes, or handover as long as the autoscaler has not taken replicas over
WAKES = "inference-portal/wakes"            # the host name by which KEDA's interceptor knows its calls


def check_name(spec: Spec) -> None:
    """Raises TargetError, permanent, for a name that can't be a Service's or is too long for what is derived from it."""
    name = spec.object_name
    room = 52 - len(str(spec.replicas)) - 1 if spec.wanted.resources.nodes > 1 else MOST_CHARS
    if len(name) > min(room, MOST_CHARS) or not DNS_LABEL.fullmatch(name):
        raise TargetError(Cause.INVALID, _(
            "The name %(name)s can't be used in a cluster: choose one of at most %(most)d lower-case letters, digits and "
            "hyphens that starts with a letter.") % {"name": name, "most": min(room, MOST_CHARS)}, permanent=True)


def headless_name(spec: Spec) -> str:
    return f"{spec.object_name}-headless"


def secret_name(spec: Spec) -> str:
    """One for each endpoint: a fixed name needs no right to list Secrets."""
    return f"{spec.object_name}-secrets"


def pull_secret_name(spec: Spec) -> str:
    return f"{spec.object_name}-pull"


def secret_key(purpose: str, value: str) -> str:
    """Named by its content, so that pods restart when it changes, and only then."""
    return f"{purpose}-{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def selector(spec: Spec) -> dict[str, str]:
    """What picks the endpoint's pods. The first two are those of the VLLMCluster guide's kubectl commands."""
    return {"app": "vllm-cluster", "cluster": spec.object_name, ENDPOINT_UID: str(spec.uid)}


def serving_selector(spec: Spec) -> dict[str, str]:
    """The pods that answer calls: of a group over several nodes only its leader."""
    leads = {LWS_WORKER_INDEX: "0"} if spec.wanted.resources.nodes > 1 else {}
    return {**selector(spec), **leads}


def labels(spec: Spec) -> dict[str, str]:
    return {**selector(spec), MANAGED_BY: MANAGER}


def manifest(kind: Kind, spec: Spec, name: str, /, **parts: Any) -> dict[str, Any]:
    """The shell of one object: kind, name, namespace, our labels and, where there is one, the owner."""
    return adopted({"apiVersion": kind.api_version, "kind": kind.kind,
                    "metadata": {"name": name, "namespace": spec.namespace}, **parts}, spec)


def adopted(made: dict[str, Any], spec: Spec) -> dict[str, Any]:
    """The same object with our labels and the owner that an object of the cluster is."""
    metadata = {**made["metadata"], "labels": {**made["metadata"].get("labels", {}), **labels(spec)}}
    if spec.origin is not None:
        origin = spec.origin
        metadata["ownerReferences"] = [{
            "apiVersion": origin.api_version, "kind": origin.kind, "name": origin.name, "uid": origin.uid, "controller": True,
        }]
    return {**made, "metadata": metadata}
