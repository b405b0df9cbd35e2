"""What each method means on a resource's paths."""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.api import bodies, forms, lists
from tests.simulators.kubernetes.api.answers import Answer, json_answer
from tests.simulators.kubernetes.api.options import delete_options, write_options
from tests.simulators.kubernetes.api.request import Request, Target
from tests.simulators.kubernetes.api.watch import Watch
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.errors import (
    ApiError,
    PlainError,
    bad_request,
    details,
    method_not_allowed,
    no_such_resource,
    not_found,
)  # fmt: skip
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import delete, naming, scale, write
from tests.simulators.kubernetes.registry.options import Options, Outcome
from tests.simulators.kubernetes.store import Object

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}
STORED = ("", "status", "scale")
"""Subresources that are read from and written to the object itself."""
AS_STATUS = {"resize", "ephemeralcontainers", "finalize"}
"""Subresources that take the whole object."""


class Verbs:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    async def answer(self, request: Request, aim: Target) -> Answer:
        """
        :raises ApiError, PlainError: as the API server refuses.
        """
        res = self.find(aim)
        self._refuse_scope(request, aim, res)
        if aim.subresource:
            self._refuse_subresource(request, aim, res)
        if not aim.name:
            return await self._collection(request, aim, res)
        match request.method:
            case "GET":
                return await self._get(request, aim, res)
            case "PUT" | "PATCH":
                done = self._change(request, aim, res)
                if aim.subresource == "scale":
                    return json_answer(done.obj, done.status, warnings=done.warnings)
                return forms.object_answer(request, res, done.obj, done.status, done.warnings)
            case "DELETE" if not aim.subresource:
                return self._delete(request, aim, res)
            case "POST" if res.custom:
                bodies_kind(request, res)
        raise method_not_allowed()

    def find(self, aim: Target) -> Resource:
        """
        :raises PlainError: the group, or the kind in a group of CRDs, is not there.
        :raises ApiError: 404, a kind that a built-in group does not have.
        """
        kinds = self.cluster.kinds
        found = kinds.get(aim.group, aim.version, aim.plural)
        if found is not None:
            return found
        if kinds.custom_group(aim.group) or not kinds.has_group(aim.group, aim.version):
            raise PlainError()
        raise no_such_resource()

    def _refuse_scope(self, request: Request, aim: Target, res: Resource) -> None:
        """A namespaced kind without a namespace, or the other way round."""
        inside = bool(aim.namespace) and res.key != ("", "namespaces")
        if inside and not res.namespaced:
            raise no_such_resource()
        if res.namespaced and not inside and (aim.name or request.method != "GET"):
            raise PlainError() if res.custom else no_such_resource() if aim.name else method_not_allowed()

    def _refuse_subresource(self, request: Request, aim: Target, res: Resource) -> None:
        if aim.subresource not in res.subresources:
            raise not_found(res.group, res.plural, aim.name) if res.custom else no_such_resource()
        if request.method in ("POST", "DELETE"):
            if not res.custom:
                raise method_not_allowed()
            told = f'{VERBS[request.method]} is not supported on resources of kind "{res.qualified}"'
            raise ApiError(405, "MethodNotAllowed", told, details("", res.group, res.plural))
        if aim.subresource not in STORED and aim.subresource not in AS_STATUS:
            raise method_not_allowed()

    # --- collections

    async def _collection(self, request: Request, aim: Target, res: Resource) -> Answer:
        namespace = aim.namespace if res.namespaced and aim.namespace else None
        match request.method:
            case "GET" if lists.wants_watch(request):
                watch = Watch(self.cluster, res, namespace, request, forms.encoder(request, res))
                return Answer(stream=watch.stream())
            case "GET":
                return forms.list_answer(request, res, await lists.page(self.cluster, res, namespace, request))
            case "POST":
                return self._create(request, aim, res)
            case "DELETE" if "deletecollection" in res.verbs:
                return await self._delete_all(request, namespace, res)
            case "PUT" | "PATCH" if res.custom:
                raise bad_request("name must be provided")
        raise method_not_allowed()

    def _create(self, request: Request, aim: Target, res: Resource) -> Answer:
        obj = bodies_kind(request, res, self.cluster)
        options = write_options(request)
        done = write.create(self.cluster, res, aim.namespace, obj, options)
        return forms.object_answer(request, res, done.obj, done.status, done.warnings)

    async def _delete_all(self, request: Request, namespace: str | None, res: Resource) -> Answer:
        asked = delete_options(request)
        delete.refuse_options(asked)
        options = Options(dry_run=asked["dryRun"])
        page = await lists.page(self.cluster, res, namespace, request)
        for each in page.items:
            metadata = each["metadata"]
            delete.delete(self.cluster, res, metadata.get("namespace", ""), metadata["name"], asked, options)
        return forms.list_answer(request, res, page)

    # --- single objects

    async def _get(self, request: Request, aim: Target, res: Resource) -> Answer:
        version = request.one("resourceVersion")
        if version not in ("", "0"):
            await lists.asked_revision(self.cluster, version)
        found = write.current(self.cluster, res, aim.namespace, aim.name)
        if aim.subresource == "scale":
            return json_answer(scale.of(res, found))
        return forms.object_answer(request, res, found)

    def _change(self, request: Request, aim: Target, res: Resource) -> Outcome:
        """PUT and PATCH of an object, its status or its scale."""
        cluster, place = self.cluster, (aim.namespace, aim.name)
        if request.method == "PUT":
            return self._put(request, aim, res)
        found = bodies.media_type(request)
        known = bodies.patch_types(res, aim.subresource)
        if found not in known:
            raise bodies.unsupported(known)
        if found == bodies.APPLY:
            options = write_options(request, apply=True)
            if aim.subresource == "scale":
                scale.refuse_apply(res)
            config = bodies.read_config(request)
            return write.apply(cluster, res, *place, config, options, subresource=aim.subresource)
        options = write_options(request)
        change = bodies.read_patch(request, res)
        if aim.subresource == "scale":
            return scale.update(cluster, res, *place, change, options)
        return write.patch(cluster, res, *place, change, options, subresource=aim.subresource)

    def _put(self, request: Request, aim: Target, res: Resource) -> Outcome:
        place, options = (aim.namespace, aim.name), write_options(request)
        if aim.subresource == "scale":
            wanted = bodies.read_object(request, "Scale")
            return scale.update(self.cluster, res, *place, lambda _: wanted, options)
        obj = bodies_kind(request, res, self.cluster)
        return write.replace(self.cluster, res, *place, obj, options, subresource=aim.subresource)

    def _delete(self, request: Request, aim: Target, res: Resource) -> Answer:
        asked = delete_options(request)
        done = delete.delete(self.cluster, res, aim.namespace, aim.name, asked, Options(dry_run=asked["dryRun"]))
        if not done.gone:
            return forms.object_answer(request, res, done.obj)
        told = details(aim.name, res.group, res.plural, uid=done.obj["metadata"]["uid"])
        return json_answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": told})


def bodies_kind(request: Request, res: Resource, cluster: Cluster | None = None) -> Object:
    """The object of a POST or PUT, which must be of the path's kind.

    :raises ApiError: 400
    """
    obj: dict[str, Any] = bodies.read_object(request, res.kind)
    if cluster is not None or res.custom:
        naming.refuse_other_type(cluster.kinds if cluster else None, res, obj, request.body)
    return obj
