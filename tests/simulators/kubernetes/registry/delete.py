"""Delete: preconditions, finalizers, grace and what becomes of the dependents.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.errors import cause, conflict, invalid
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import strategy
from tests.simulators.kubernetes.registry.options import Options, Outcome
from tests.simulators.kubernetes.registry.write import current
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

Asked = dict[str, Any]
"""A DeleteOptions object."""
POLICIES = {"Foreground": "foregroundDeletion", "Orphan": "orphan", "Background": ""}


def delete(cluster: Cluster, res: Resource, namespace: str, name: str, asked: Asked, options: Options) -> Outcome:
    """
    :raises ApiError: 404; 409, a precondition does not hold; 422, options that do not fit.
    """
    refuse_options(asked)
    old = current(cluster, res, namespace, name)
    _refuse_precondition(res, old, asked.get("preconditions") or {})
    for admit in cluster.admission:
        admit("delete", res, old, old)
    finalizers = _finalizers(old, asked)
    grace = _grace(res, old, asked)
    if not (finalizers or grace or _held(res, old)):
        return _gone(cluster, res, old, options)
    new = _marked(cluster, res, old, finalizers, grace)
    if options.dry_run:
        return Outcome(new)
    return Outcome(cluster.store.replace(res, new))


def refuse_options(asked: Asked) -> None:
    policy = asked.get("propagationPolicy")
    causes = []
    if policy is not None and policy not in POLICIES:
        known = ", ".join(f'"{each}"' for each in ("Foreground", "Background", "Orphan", "nil"))
        why = f'Unsupported value: "{policy}": supported values: {known}'
        causes.append(cause("FieldValueNotSupported", why, "propagationPolicy"))
    elif policy is not None and asked.get("orphanDependents") is not None:
        why = f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set'
        causes.append(cause("FieldValueInvalid", why, "propagationPolicy"))
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)


def _refuse_precondition(res: Resource, old: Object, wanted: dict[str, str]) -> None:
    metadata = old["metadata"]
    for field, shown, more in (
        ("uid", "UID", "The object might have been deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "The object might have been modified"),
    ):
        if wanted.get(field) is not None and wanted[field] != metadata[field]:
            raise conflict(
                res.group, res.kind, metadata["name"],
                f"the {shown} in the precondition ({wanted[field]}) does not match the {shown} in record "
                f"({metadata[field]}). {more}",
            )  # fmt: skip


def _finalizers(old: Object, asked: Asked) -> list[str]:
    present = list(old["metadata"].get("finalizers") or ())
    policy = asked.get("propagationPolicy") or ("Orphan" if asked.get("orphanDependents") else None)
    if policy is None:
        return present
    kept = [each for each in present if each not in POLICIES.values()]
    return [*kept, POLICIES[policy]] if POLICIES[policy] else kept


def _grace(res: Resource, old: Object, asked: Asked) -> int:
    """Seconds that the object gets to end by itself: only pods on a node do."""
    if res.plural != "pods" or not old["spec"].get("nodeName") or _ended(old):
        return 0
    wanted = asked.get("gracePeriodSeconds")
    if wanted is None:
        wanted = old["spec"].get("terminationGracePeriodSeconds", 30)
    wanted = max(0, int(wanted)) if int(wanted) >= 0 else 1
    before = old["metadata"].get("deletionGracePeriodSeconds")
    return wanted if before is None else min(wanted, before)


def _ended(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _held(res: Resource, old: Object) -> bool:
    """Whether something besides metadata holds the object: a namespace is emptied first, and so is a CRD."""
    emptied = res.key == ("", "namespaces") and bool((old.get("spec") or {}).get("finalizers"))
    return emptied or res.kind == strategy.CRD


def _marked(cluster: Cluster, res: Resource, old: Object, finalizers: list[str], grace: int) -> Object:
    """The object as one that is being deleted."""
    metadata = dict(old["metadata"])
    first = "deletionTimestamp" not in metadata
    if first or grace != metadata.get("deletionGracePeriodSeconds"):
        end = datetime.now(UTC) + timedelta(seconds=grace)
        metadata["deletionTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata["deletionGracePeriodSeconds"] = grace
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if first and "generation" in metadata and res.kind != strategy.CRD:
        metadata["generation"] += 1
    new = {**old, "metadata": metadata}
    if res.kind == strategy.CRD:
        return strategy.crd_marked(new, cluster.now()) if first else old
    if res.key == ("", "namespaces"):
        metadata.pop("deletionGracePeriodSeconds", None)
        new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return new


def _gone(cluster: Cluster, res: Resource, old: Object, options: Options) -> Outcome:
    """Removed at once. A pod is shown as one being deleted, as the API server marks it on its way."""
    shown = _marked(cluster, res, old, [], 0) if res.plural == "pods" else old
    if not options.dry_run:
        namespace, name = old["metadata"].get("namespace", ""), old["metadata"]["name"]
        removed = cluster.store.remove(res, namespace, name)
        if removed is not None:
            version = removed["metadata"]["resourceVersion"]
            shown = {**shown, "metadata": {**shown["metadata"], "resourceVersion": version}}
    return Outcome(shown, gone=res.plural not in strategy.SHOWN_GONE)
