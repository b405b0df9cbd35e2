"""Create and replace: metadata, schema, admission, generation, and then the store."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING

from tests.simulators.kubernetes.errors import CHANGED, already_exists, bad_request, cause, conflict, invalid, not_found
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry.options import Options, Outcome
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"


def create(cluster: Cluster, res: Resource, namespace: str, obj: Object, options: Options) -> Outcome:
    metadata = dict(obj.get("metadata") or {})
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"][:58] + "".join(random.choices(SUFFIX, k=5))
    if res.namespaced:
        metadata["namespace"] = namespace
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": cluster.now(), "generation": 1}
    new = {**obj, "apiVersion": res.api_version, "kind": res.kind, "metadata": metadata}
    if "status" in res.subresources and not options.trusted:
        new.pop("status", None)
    for admit in cluster.admission:
        admit("create", res, new, None)
    if cluster.store.get(res, namespace, metadata["name"]):
        raise already_exists(res.group, res.plural, metadata["name"])
    return Outcome(new if options.dry_run else cluster.store.create(res, new), created=True, status=201)


def replace(
    cluster: Cluster, res: Resource, namespace: str, name: str, obj: Object, options: Options, *, subresource: str = ""
) -> Outcome:
    old = cluster.store.get(res, namespace, name)
    if old is None:
        raise not_found(res.group, res.plural, name)
    return update(cluster, res, old, obj, options, subresource=subresource)


def update(
    cluster: Cluster, res: Resource, old: Object, obj: Object, options: Options, *, subresource: str = ""
) -> Outcome:
    name = old["metadata"]["name"]
    metadata = dict(obj.get("metadata") or {})
    if metadata.get("name") != name:
        raise bad_request("the name of the object does not match the name on the URL")
    version = metadata.get("resourceVersion")
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(res.group, res.plural, name, CHANGED)
    if not version and res.custom and not options.trusted:
        why = cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")
        raise invalid(res.group, res.kind, name, [why])
    kept = ("uid", "creationTimestamp", "namespace", "generation", "deletionTimestamp")
    metadata |= {key: old["metadata"][key] for key in kept if key in old["metadata"]}
    new = {**obj, "apiVersion": res.api_version, "kind": res.kind, "metadata": metadata}
    if subresource == "status":
        new = {**old, "status": obj.get("status")}
    elif "status" in res.subresources:
        new.pop("status", None)
        if "status" in old:
            new["status"] = old["status"]
    if new.get("spec") != old.get("spec") and "generation" in metadata:
        metadata["generation"] += 1
    for admit in cluster.admission:
        admit("update", res, new, old)
    if options.dry_run:
        return Outcome(new)
    if metadata.get("deletionTimestamp") and not metadata.get("finalizers") and res.plural != "pods":
        return Outcome(cluster.store.remove(res, metadata.get("namespace", ""), name) or new)
    return Outcome(cluster.store.replace(res, new))
