"""Lists: selectors, limit and continue, resourceVersion and its match.

https://kubernetes.io/docs/reference/using-api/api-concepts/#the-resourceversion-parameter
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tests.simulators.kubernetes.api import fields, labels
from tests.simulators.kubernetes.api.options import integer, truth
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.errors import ApiError, bad_request, cause, invalid
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry import versions
from tests.simulators.kubernetes.store import Compacted, Object

FUTURE_SECONDS = 3.0
"""How long a version that is not there yet is waited for."""
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Object]
    revision: int
    token: str = ""
    remaining: int | None = None

    def metadata(self, res: Resource) -> dict[str, Any]:
        found: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if self.token or res.custom:
            found["continue"] = self.token
        if self.remaining:
            found["remainingItemCount"] = self.remaining
        return found


def selector(res: Resource, request: Request) -> Callable[[Object], bool] | None:
    """What the request's selectors say of an object; None when it has none.

    :raises ApiError: 400, a selector that cannot be read.
    """
    tests: list[Callable[[Object], bool]] = []
    if text := request.one("labelSelector"):
        by_labels = labels.parse(text)
        tests.append(lambda obj: by_labels(obj["metadata"].get("labels") or {}))
    if text := request.one("fieldSelector"):
        tests.append(fields.parse(res, text))
    if not tests:
        return None
    return lambda obj: all(test(obj) for test in tests)


def refuse_options(request: Request, *, watch: bool) -> None:
    """
    :raises ApiError: 422, list options that do not go together.
    """
    match, version = request.one("resourceVersionMatch"), request.one("resourceVersion")
    initial = request.query.get("sendInitialEvents")
    causes = _watch_causes(match, initial) if watch else _list_causes(match, version, initial)
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


def _list_causes(match: str, version: str, initial: list[str] | None) -> list[dict[str, Any]]:
    causes = []
    why = ""
    if match and not version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match == "Exact" and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    if why:
        causes.append(cause("FieldValueForbidden", f"Forbidden: {why}", "resourceVersionMatch"))
    if match not in ("", "Exact", "NotOlderThan"):
        why = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        causes.append(cause("FieldValueNotSupported", why, "resourceVersionMatch"))
    if initial:
        why = "Forbidden: sendInitialEvents is forbidden for list"
        causes.append(cause("FieldValueForbidden", why, "sendInitialEvents"))
    return causes


def _watch_causes(match: str, initial: list[str] | None) -> list[dict[str, Any]]:
    why = ""
    if initial and match != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif match and not initial:
        why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    return [cause("FieldValueForbidden", f"Forbidden: {why}", "resourceVersionMatch")] if why else []


async def page(cluster: Cluster, res: Resource, namespace: str | None, request: Request) -> Page:
    """
    :raises ApiError: 400 and 422 for bad options, 410 for an expired version, 504 for one from the future.
    """
    limit, token, version = integer(request.one("limit")), request.one("continue"), request.one("resourceVersion")
    refuse_options(request, watch=False)
    chosen = selector(res, request)
    if token and version not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    revision, start = read_token(token) if token else (0, None)
    if not token and version not in ("", "0"):
        revision = await asked_revision(cluster, version)
        if request.one("resourceVersionMatch") != "Exact":
            revision = 0
    at = revision if revision > 0 else cluster.store.revision
    objects = _objects(cluster, res, namespace, at, start)
    limit = 0 if version == "0" else max(0, limit)
    return _cut([versions.shown(res, each) for each in objects], at, limit, start, chosen)


async def asked_revision(cluster: Cluster, version: str) -> int:
    """
    :raises ApiError: 400, no number; 504, one that is not there after a while.
    """
    if not version.isdigit():
        why = f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        raise bad_request(f"invalid resource version: {why}")
    if int(version) > cluster.store.revision:
        await asyncio.sleep(FUTURE_SECONDS / cluster.speed)
    if int(version) > cluster.store.revision:
        told = f"Timeout: Too large resource version: {version}, current: {cluster.store.revision}"
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        raise ApiError(504, "Timeout", told, {"causes": causes, "retryAfterSeconds": 1}, headers={"retry-after": "1"})
    return int(version)


def _objects(
    cluster: Cluster, res: Resource, namespace: str | None, revision: int, start: tuple[str, str] | None
) -> list[Object]:
    if revision == cluster.store.revision:
        return cluster.store.list(res, namespace)
    try:
        return cluster.store.list_at(res, namespace, revision)
    except Compacted:
        if start is None:
            raise ApiError(410, "Expired", "The resourceVersion for the provided list is too old.") from None
        error = ApiError(410, "Expired", CONTINUE_EXPIRED)
        error.metadata = {"continue": write_token(-1, start)}
        raise error from None


def _cut(
    objects: list[Object],
    revision: int,
    limit: int,
    start: tuple[str, str] | None,
    chosen: Callable[[Object], bool] | None,
) -> Page:
    """The page after `start`. With a selector nobody knows how many remain."""
    if start is not None:
        objects = [each for each in objects if _place(each) > start]
    if not limit:
        return Page([each for each in objects if chosen is None or chosen(each)], revision)
    items: list[Object] = []
    for number, each in enumerate(objects):
        if chosen is None or chosen(each):
            items.append(each)
        if len(items) == limit and number + 1 < len(objects):
            remaining = len(objects) - number - 1 if chosen is None else None
            return Page(items, revision, write_token(revision, _place(each)), remaining)
    return Page(items, revision)


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def write_token(revision: int, start: tuple[str, str]) -> str:
    body = msgspec.json.encode({"v": "meta.k8s.io/v1", "rv": revision, "start": "/".join(start)})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def read_token(token: str) -> tuple[int, tuple[str, str]]:
    """
    :raises ApiError: 400
    """
    try:
        body = msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = body["start"].partition("/")
        return int(body["rv"]), (namespace, name)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, KeyError, TypeError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from error


def wants_watch(request: Request) -> bool:
    return truth(request.one("watch")) or request.query.get("watch") == [""]
