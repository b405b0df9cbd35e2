"""The paths that name no resource, and what stands there."""

from __future__ import annotations

import re
from typing import Any

from tests.simulators.kubernetes.api.answers import Answer, json_answer
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.discovery import groups, openapi
from tests.simulators.kubernetes.errors import ApiError, PlainError, method_not_allowed, no_such_resource
from tests.simulators.kubernetes.kinds import Kinds
from tests.simulators.kubernetes.tables import OnlyProtobuf, negotiate, to_yaml

Object = dict[str, Any]
TEXT = "text/plain; charset=utf-8"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35", "gitVersion": "v1.36.2", "gitCommit": "0" * 40, "gitTreeState": "clean",
    "buildDate": "2026-06-09T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip
HEALTH = re.compile(r"/(healthz|livez|readyz)(/.*)?")


class Discovery:
    """Answers by the present kinds; what is costly is kept until they change."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._kept: dict[str, Answer] = {}
        self._revision = -1

    def answer(self, request: Request) -> Answer:
        """
        :raises PlainError: nobody serves the path.
        :raises ApiError: a built-in group has no such version; the method is not GET.
        """
        path = request.path.rstrip("/") or "/"
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if HEALTH.fullmatch(path):
            return Answer(200, b"ok", TEXT)
        body = self._body(path, request)
        return body if isinstance(body, Answer) else _formed(request, body)

    def _body(self, path: str, request: Request) -> Object | Answer:
        if path in ("/api", "/apis") and "APIGroupDiscoveryList" in request.headers.get("accept", ""):
            return self._keep(path, lambda: _aggregated(groups.aggregated(self._kinds, core=path == "/api")))
        if path.startswith("/openapi/"):
            return self._openapi(path)
        match path.split("/")[1:]:
            case ["version"]:
                return VERSION
            case [""]:
                return {
                    "paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
                }
            case ["api"]:
                addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("host", "")}]
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
            case ["apis"]:
                return groups.group_list(self._kinds)
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group]:
                return self._found(group, groups.group(self._kinds, group))
            case ["apis", group, version]:
                return self._resources(group, version)
        raise PlainError()

    def _openapi(self, path: str) -> Answer:
        if path == "/openapi/v3":
            return self._keep(path, lambda: _text(openapi.index(self._kinds)))
        return self._keep(path, lambda: self._document(path.removeprefix("/openapi/v3/")))

    def _resources(self, group: str, version: str) -> Object:
        return self._found(group, groups.resource_list(self._kinds, group, version))

    def _found(self, group: str, body: Object | None) -> Object:
        if body is not None:
            return body
        if self._kinds.custom_group(group):
            raise PlainError()
        raise no_such_resource()

    def _document(self, name: str) -> Answer:
        body = openapi.document(self._kinds, name)
        if body is None:
            raise PlainError()
        return json_answer(body)

    def _keep(self, key: str, make: Any) -> Answer:
        if self._revision != self._kinds.revision:
            self._kept.clear()
            self._revision = self._kinds.revision
        if key not in self._kept:
            self._kept[key] = make()
        kept = self._kept[key]
        return Answer(kept.status, kept.body, kept.content_type)


def _aggregated(body: Object) -> Answer:
    answer = json_answer(body)
    answer.content_type = AGGREGATED
    return answer


def _text(body: Object) -> Answer:
    answer = json_answer(body)
    answer.content_type = TEXT
    return answer


def _formed(request: Request, body: Object) -> Answer:
    try:
        form = negotiate(request.headers.get("accept", ""), builtin=True)
    except (OnlyProtobuf, ApiError):
        return json_answer(body)
    return Answer(200, to_yaml(body), form.media) if form.media.endswith("yaml") else json_answer(body)
