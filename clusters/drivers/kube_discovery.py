"""Which kinds a cluster serves: two calls where discovery is aggregated (Kubernetes 1.26), else one for each group."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from .kinds import known_api_versions
from .kube_answers import not_kubernetes
from .kube_errors import KubeError, Problem

Kinds = frozenset[tuple[str, str]]  # (apiVersion, plural)
Read = Callable[[str], bytes]

# kubernetes.io, API concepts, "Aggregated discovery": asked for by Accept, and an old server sends the plain form.
DISCOVERY_HEADERS = {
    "accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"}


class _Name(msgspec.Struct):
    name: str = ""


class _Resource(msgspec.Struct):
    resource: str = ""


class _Version(msgspec.Struct):
    version: str = ""
    resources: list[_Resource] = []


class _Group(msgspec.Struct):
    metadata: _Name = msgspec.field(default_factory=_Name)
    versions: list[_Version] = []


class _Discovery(msgspec.Struct):
    kind: str = ""
    items: list[_Group] = []        # aggregated
    resources: list[_Name] = []     # of one group's version


def kinds_in(read: Read) -> Kinds:
    """Raises what `read` raises."""
    found: set[tuple[str, str]] = set()
    for path in ("/api", "/apis"):
        answer = _decode(read(path))
        if answer.kind != "APIGroupDiscoveryList":
            return _one_by_one(read)
        found |= {(_api_version(group.metadata.name, version.version), resource.resource)
                  for group in answer.items for version in group.versions for resource in version.resources}
    return frozenset(found)


def _one_by_one(read: Read) -> Kinds:
    """Only the groups that the portal uses."""
    found: set[tuple[str, str]] = set()
    for api_version in known_api_versions():
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            answer = _decode(read(path))
        except KubeError as error:
            if error.problem is not Problem.NO_KIND:
                raise
        else:
            found |= {(api_version, resource.name) for resource in answer.resources if "/" not in resource.name}
    return frozenset(found)


def _api_version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _decode(body: bytes) -> _Discovery:
    try:
        return msgspec.json.decode(body, type=_Discovery)
    except msgspec.MsgspecError as error:
        raise not_kubernetes() from error
