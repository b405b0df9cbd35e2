"""What others changed in a cluster of what we keep there: found by one list a kind, named by managedFields, put back by force.

An object is looked at closely only where somebody else has written it since the last time, so a quiet cluster costs lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from clusters.drivers.kinds import SECRET, kind_of
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.namespaces import ENDPOINT_UID, FIELD_MANAGER
from endpoints.planning.diff import drift, object_of
from endpoints.planning.paths import copy_field
from endpoints.targets.base import FieldChange, Spec, TargetError

from .bundle import SCALED, WORKLOADS, Key, Kinds, key_of, stamped
from .planned import Stage
from .seen import Workload
from .stage import staged
from .steps import with_replicas

# They write what nobody else may: status, scale and finalizers.
CONTROLLERS = frozenset({FIELD_MANAGER, "kube-controller-manager", "kube-scheduler", "kubelet", "keda-operator"})
GONE = "(the object)"
MOST_REMEMBERED = 50_000


class _Writer(msgspec.Struct, rename="camel"):
    manager: str = ""
    subresource: str = ""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    managed_fields: list[_Writer] | None = None
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


# Objects that were looked at closely and found as they should be, by uid: their version then.
_clean: dict[str, str] = {}
Manifest = dict[str, Any]


def find_drift(
    kube: Kube, kinds: Kinds, specs: Iterable[Spec], render: Callable[[Spec], list[Manifest]],
) -> dict[UUID, tuple[FieldChange, ...]]:
    """Of each endpoint what differs from what we keep, () where nothing does. Raises KubeError."""
    there = _listed(kube, kinds)
    found = {}
    for spec in specs:
        try:
            made = render(spec)
        except TargetError:
            continue  # what can't be rendered any more is told by its own step
        found[spec.uid] = _drift_of(kube, spec, made, there.get(str(spec.uid), {}))
    return found


def _listed(kube: Kube, kinds: Kinds) -> Mapping[str, dict[Key, _Meta]]:
    found: dict[str, dict[Key, _Meta]] = defaultdict(dict)
    for kind in kinds:
        for each in kube.list(kind, _Object, labels=ENDPOINT_UID).items:
            found[(each.metadata.labels or {}).get(ENDPOINT_UID, "")][kind, each.metadata.name] = each.metadata
    return found


def _drift_of(kube: Kube, spec: Spec, made: list[Manifest], there: Mapping[Key, _Meta]) -> tuple[FieldChange, ...]:
    changes: list[FieldChange] = []
    for manifest in made:
        if kind_of(manifest) == SECRET:
            continue  # nobody may list Secrets; the workload restarts when one of ours changes
        meta = there.get(key_of(manifest))
        if meta is None:
            changes.append(FieldChange(object_of(manifest), "", None, GONE))
        elif meta.deletion_timestamp is None and _is_suspect(meta, spec, manifest):
            changes += _closely(kube, spec, manifest, meta)
    return tuple(changes)


def _is_suspect(meta: _Meta, spec: Spec, manifest: Manifest) -> bool:
    if _clean.get(meta.uid) == meta.resource_version:
        return False
    scales = spec.autoscale is None and kind_of(manifest) in SCALED
    return any(writer.manager not in CONTROLLERS and (not writer.subresource or (scales and writer.subresource == "scale"))
               for writer in meta.managed_fields or ())


def _closely(kube: Kube, spec: Spec, manifest: Manifest, meta: _Meta) -> tuple[FieldChange, ...]:
    live = kube.get(kind_of(manifest), spec.namespace, meta.name)
    if live is None:
        return (FieldChange(object_of(manifest), "", None, GONE),)
    kept = stamped(_settled(spec, manifest, live))
    # What we wrote ourselves and would write otherwise now is the next step's to send, such as the numbers of an update.
    found = tuple(change for change in drift(live, kept) if change.manager != FIELD_MANAGER)
    if not found:
        if len(_clean) > MOST_REMEMBERED:
            _clean.clear()
        _clean[meta.uid] = live["metadata"]["resourceVersion"]
    return found


def _settled(spec: Spec, manifest: Manifest, live: Manifest) -> Manifest:
    """The same as a settled endpoint gets it; not the number that an autoscaler owns."""
    if kind_of(manifest) not in WORKLOADS:
        return manifest
    sent, _drop = staged(manifest, spec, msgspec.convert(live, Workload), (), timezone.now())
    numbers = {name: value for name, value in sent["spec"].items() if name != "replicas"}
    return {**sent, "spec": numbers | ({"replicas": spec.replicas} if spec.autoscale is None else {})}


def put_back(kube: Kube, spec: Spec, made: list[Manifest], changes: Iterable[FieldChange], stage: Stage) -> None:
    """Take the changed fields back, by force where another manager owns them; an update goes on from where it is.

    Raises KubeError.
    """
    lists: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        lists[change.object] |= {change.path.partition("[")[0]} if "[" in change.path else set()
    for manifest in made:
        if object_of(manifest) in lists:
            live = kube.get(kind_of(manifest), spec.namespace, manifest["metadata"]["name"])
            _force(kube, stamped(manifest if live is None else _next(kube, spec, manifest, live, stage)),
                   lists[object_of(manifest)])


def _next(kube: Kube, spec: Spec, manifest: Manifest, live: Manifest, stage: Stage) -> Manifest:
    """What the endpoint's own next step would send."""
    if kind_of(manifest) not in SCALED:
        return manifest
    known = msgspec.convert(live, Workload)
    return with_replicas(kube, kind_of(manifest), spec, stage(manifest, known), known)


def _force(kube: Kube, sent: Manifest, lists: Iterable[str]) -> None:
    """Apply it. Where that is no sound object beside the members that others put into a list, the list becomes ours first:
    a port that somebody gave another number stays beside ours, and two ports can't have one name."""
    try:
        kube.apply(sent, force=True)
    except KubeError as error:
        if error.problem is not Problem.INVALID or not lists:
            raise
        only: Manifest = {}
        for path in lists:
            copy_field(sent, only, path)
        kube.merge_patch(kind_of(sent), sent["metadata"]["namespace"], sent["metadata"]["name"], only)
        kube.apply(sent, force=True)
