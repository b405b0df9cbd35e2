"""Delete: preconditions, finalizers, grace and what becomes of the dependents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.errors import not_found
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry.options import Options, Outcome

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster


def delete(
    cluster: Cluster, res: Resource, namespace: str, name: str, asked: dict[str, Any], options: Options
) -> Outcome:
    old = cluster.store.get(res, namespace, name)
    if old is None:
        raise not_found(res.group, res.plural, name)
    metadata = old["metadata"]
    if metadata.get("finalizers"):
        new = {**old, "metadata": {**metadata, "deletionTimestamp": cluster.now(), "deletionGracePeriodSeconds": 0}}
        return Outcome(new if options.dry_run else cluster.store.replace(res, new))
    if not options.dry_run:
        cluster.store.remove(res, namespace, name)
    return Outcome(old)
