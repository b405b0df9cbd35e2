"""Create, replace, patch and apply: each makes the object that it wants, and `_store_new` and `_store_changed` judge it."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes import schema
from tests.simulators.kubernetes.apply import managed, typed
from tests.simulators.kubernetes.errors import (
    CHANGED,
    ApiError,
    already_exists,
    bad_request,
    cause,
    conflict,
    invalid,
    not_found,
)  # fmt: skip
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import naming, ownership, strategy, versions
from tests.simulators.kubernetes.registry.options import Options, Outcome
from tests.simulators.kubernetes.store import Object

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

Change = Callable[[Object], Object]
FIXED = ("uid", "creationTimestamp", "namespace", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")


def create(cluster: Cluster, res: Resource, namespace: str, obj: Object, options: Options) -> Outcome:
    """
    :raises ApiError: 400, 409 or 422, as the API server refuses.
    """
    metadata = dict(obj.get("metadata") or {})
    naming.refuse_other_namespace(res, namespace, metadata)
    if metadata.get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    if res.custom:
        naming.refuse_changed_type(res, obj)
    metadata.pop("managedFields", None)
    return _store_new(cluster, res, namespace, {**obj, "metadata": metadata}, options)


def _store_new(
    cluster: Cluster,
    res: Resource,
    namespace: str,
    obj: Object,
    options: Options,
    owners: managed.Managers | None = None,
) -> Outcome:
    new, warnings, causes = _checked(res, _begun(cluster, res, namespace, obj, options), None, "", options)
    if "status" not in new and not causes and (status := strategy.first_status(res, new)) is not None:
        new["status"] = status
    if owners is not None:
        new = managed.write(new, owners)
    elif not (options.trusted or causes):
        new = ownership.of_create(cluster, res, new, options)
    new = strategy.completed(res, new)
    new = _admitted(cluster, "create", res, new, None, causes, warnings)
    for admit in cluster.admission:
        admit("create", res, new, None)
    name = new["metadata"].get("name", "")
    if present := cluster.store.get(res, namespace, name):
        raise already_exists(res.group, res.plural, name, leaving="deletionTimestamp" in present["metadata"])
    if not options.dry_run:
        new = versions.shown(res, cluster.store.create(res, versions.stored(cluster.kinds, res, new)))
    return Outcome(new, warnings, created=True, status=201)


def _begun(cluster: Cluster, res: Resource, namespace: str, obj: Object, options: Options) -> Object:
    """The object with the metadata that every new one gets, and without what only the server sets."""
    metadata = dict(obj["metadata"])
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = naming.generated(metadata["generateName"])
    for gone in ("namespace", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(gone, None)
    if res.namespaced:
        metadata["namespace"] = namespace
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": cluster.now()}
    if strategy.counted(res):
        metadata["generation"] = 1
    new = {**obj, "apiVersion": res.api_version, "kind": res.kind, "metadata": metadata}
    if "status" in res.subresources and not options.trusted:
        new.pop("status", None)
    return new


def replace(
    cluster: Cluster, res: Resource, namespace: str, name: str, obj: Object, options: Options, *, subresource: str = ""
) -> Outcome:
    """PUT."""
    metadata = obj.get("metadata") or {}
    naming.refuse_other_place(res, namespace, name, metadata)
    old = current(cluster, res, namespace, name)
    version, uid = metadata.get("resourceVersion") or "", metadata.get("uid")
    if version and not version.isdigit():
        raise ApiError(500, "", f'strconv.ParseUint: parsing "{version}": invalid syntax')
    if version in ("", "0") and res.custom and not options.trusted:
        why = cause(
            "FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion"
        )
        raise invalid(res.group, res.plural, name, [why])
    if uid and uid != old["metadata"]["uid"]:
        place = "/".join(filter(None, ("/registry", res.plural, namespace, name)))
        raise conflict(
            res.group, res.plural, name,
            f"StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, AdditionalErrorMsg: Precondition "
            f"failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}",
        )  # fmt: skip
    if res.custom:
        naming.refuse_changed_type(res, obj)
    return _store_changed(cluster, res, old, obj, options, subresource)


def patch(
    cluster: Cluster,
    res: Resource,
    namespace: str,
    name: str,
    change: Change,
    options: Options,
    *,
    subresource: str = "",
) -> Outcome:
    """A plain patch: `change` makes the wanted object from the present one."""
    old = current(cluster, res, namespace, name)
    obj = change(old)
    metadata = obj.get("metadata") or {}
    if res.custom:
        naming.refuse_changed_type(res, obj)
    naming.refuse_other_place(res, namespace, name, metadata)
    if subresource != "status":
        _refuse_other_uid(res, old, obj)
    try:
        return _store_changed(cluster, res, old, obj, options, subresource)
    except schema.Undecodable as error:
        why = f"Invalid value: {json.dumps(json.dumps(obj, separators=(',', ':')))}: {error.why}"
        raise invalid("", "", "", [cause("FieldValueInvalid", why, "patch")]) from error


def _refuse_other_uid(res: Resource, old: Object, obj: Object) -> None:
    uid = obj["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        why = cause("FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid")
        raise invalid(res.group, res.kind, old["metadata"]["name"], [why, why] if res.custom else [why])


def apply(
    cluster: Cluster,
    res: Resource,
    namespace: str,
    name: str,
    config: Object,
    options: Options,
    *,
    subresource: str = "",
) -> Outcome:
    """Server-side apply; creates the object where there is none.

    :raises ApiError: 409, another manager owns a field that would change; 500, the config does not fit the schema.
    """
    metadata = config.get("metadata") or {}
    if (config.get("apiVersion"), config.get("kind")) != (res.api_version, res.kind):
        group_version = config.get("apiVersion") or "/"
        raise bad_request(f"invalid object type: {group_version}, Kind={config.get('kind', '')}")
    naming.refuse_other_place(res, namespace, name, metadata)
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    old = cluster.store.get(res, namespace, name)
    if old is None and subresource:
        raise not_found(res.group, res.plural, name)
    context = ownership.context(cluster, res, options, subresource)
    try:
        typed.check(context.node, config)
    except typed.TypedError as error:
        place = f"{metadata.get('namespace', '')}/{name}; {res.api_version}, Kind={res.kind}"
        raise ApiError(500, "", f"failed to create typed patch object ({place}): {error}") from error
    old = old and versions.shown(res, old)
    live = old or {"apiVersion": res.api_version, "kind": res.kind, "metadata": {}}
    merged, owners = managed.apply(context, live, config, options.force)
    if old is None:
        return _store_new(cluster, res, namespace, merged, options, owners)
    _refuse_other_uid(res, old, merged)
    return _store_changed(cluster, res, old, merged, options, subresource, owners)


def current(cluster: Cluster, res: Resource, namespace: str, name: str) -> Object:
    """
    :raises ApiError: 404
    """
    old = cluster.store.get(res, namespace, name)
    if old is None:
        raise not_found(res.group, res.plural, name)
    return versions.shown(res, old)


def _store_changed(
    cluster: Cluster, res: Resource, old: Object, obj: Object, options: Options, subresource: str,
    owners: managed.Managers | None = None,
) -> Outcome:  # fmt: skip
    metadata = dict(obj["metadata"])
    version = metadata.get("resourceVersion")
    if version not in (None, "", "0", old["metadata"]["resourceVersion"]):
        raise conflict(res.group, res.plural, old["metadata"]["name"], CHANGED)
    cleared = metadata.get("managedFields") in ([], [{}]) and bool(old["metadata"].get("managedFields"))
    for field in FIXED:
        metadata.pop(field, None)
        if field in old["metadata"]:
            metadata[field] = old["metadata"][field]
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    new = {**obj, "apiVersion": res.api_version, "kind": res.kind, "metadata": metadata}
    new = _only_touched(res, old, new, subresource)
    new, warnings, causes = _checked(res, new, old, subresource, options)
    if owners is not None:
        new = managed.write(new, owners)
    elif not (causes or (options.trusted and subresource == "status")):
        new = ownership.of_update(cluster, res, old, new, options, subresource, cleared=cleared)
    new = _admitted(cluster, "update", res, new, old, causes, warnings)
    if subresource != "status" and "generation" in new["metadata"] and _meaning(res, new) != _meaning(res, old):
        new["metadata"]["generation"] += 1
    for admit in cluster.admission:
        admit("update", res, new, old)
    return Outcome(new if options.dry_run else _stored(cluster, res, new), warnings)


def _stored(cluster: Cluster, res: Resource, new: Object) -> Object:
    """Stores the change; an object that only waited for its last finalizer goes."""
    metadata = new["metadata"]
    waits = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds") or _spec_finalizers(res, new)
    if "deletionTimestamp" in metadata and not waits:
        cluster.store.remove(res, metadata.get("namespace", ""), metadata["name"])
        return new
    return versions.shown(res, cluster.store.replace(res, versions.stored(cluster.kinds, res, new)))


def _spec_finalizers(res: Resource, obj: Object) -> Any:
    return res.plural == "namespaces" and (obj.get("spec") or {}).get("finalizers")


def _only_touched(res: Resource, old: Object, new: Object, subresource: str) -> Object:
    """What the endpoint may change: the status only, or everything else."""
    if subresource == "status":
        found = {**old, "metadata": dict((old if res.group else new)["metadata"])}  # core kinds: metadata too
        found.pop("status", None)
        return {**found, "status": new["status"]} if new.get("status") is not None else found
    if "status" not in res.subresources:
        return new
    found = {name: value for name, value in new.items() if name != "status"}
    return {**found, "status": old["status"]} if "status" in old else found


def _meaning(res: Resource, obj: Object) -> Any:
    """What counts as a change of the object's generation."""
    if not res.custom:
        return obj.get("spec")
    return {name: value for name, value in obj.items() if name not in ("metadata", "status", "apiVersion", "kind")}


def _checked(
    res: Resource, new: Object, old: Object | None, subresource: str, options: Options
) -> tuple[Object, list[str], list[dict[str, Any]]]:
    """The object with defaults, warnings, and what is wrong with it.

    :raises ApiError: 400 for an unfit value, or for an unknown field with Strict.
    """
    if options.trusted and subresource == "status":
        return new, [], []
    checked = schema.check(res, new, old=old, subresource=subresource, field_validation=options.validation)
    warnings = [f'duplicate field "{path}"' for path in options.twice] + checked.warnings
    if options.validation == "Strict" and warnings:
        raise schema.Undecodable(res, f"strict decoding error: {', '.join(warnings)}")
    causes = checked.causes + (_leaving_causes(res, old, checked.obj) if old is not None else [])
    return checked.obj, [] if options.trusted else warnings, causes


def _leaving_causes(res: Resource, old: Object, new: Object) -> list[dict[str, Any]]:
    """An object that is being deleted takes no new finalizers; of a custom resource that is told twice."""
    if "deletionTimestamp" not in old["metadata"]:
        return []
    before = old["metadata"].get("finalizers") or ()
    added = [each for each in new["metadata"].get("finalizers") or () if each not in before]
    if not added:
        return []
    shown = ", ".join(f'"{each}"' for each in added)
    why = "no new finalizers can be added if the object is being deleted, found new finalizers"
    told = cause("FieldValueForbidden", f"Forbidden: {why} []string{{{shown}}}", "metadata.finalizers")
    return [told, told] if res.custom else [told]


def _admitted(
    cluster: Cluster, verb: str, res: Resource, new: Object, old: Object | None, causes: list[dict[str, Any]],
    warnings: list[str],
) -> Object:  # fmt: skip
    """Through the hooks that may change an object: they get a copy of their own. A faulty one sees the first hook only.

    :raises ApiError: a hook refuses; 422, for the causes.
    """
    if not cluster.mutating and not causes:
        return new
    new = copy.deepcopy(new)
    for admit in cluster.mutating[:1] if causes else cluster.mutating:
        admit(verb, res, new, old)
    if causes:
        error = invalid(res.key[0], res.kind, new["metadata"].get("name", ""), causes)
        error.warnings = warnings
        raise error
    return new
