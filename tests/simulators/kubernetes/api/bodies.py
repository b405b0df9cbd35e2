"""Bodies of requests: JSON or YAML, and the patches by their media types."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import yaml

from tests.simulators.kubernetes import protobuf
from tests.simulators.kubernetes.api.request import Request
from tests.simulators.kubernetes.errors import ApiError, bad_request
from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.patches import merge, operations, strategic
from tests.simulators.kubernetes.registry.naming import unrecognized
from tests.simulators.kubernetes.schema import node_for
from tests.simulators.kubernetes.store import Object

APPLY, MERGE, JSON, STRATEGIC = (
    "application/apply-patch+yaml", "application/merge-patch+json", "application/json-patch+json",
    "application/strategic-merge-patch+json",
)  # fmt: skip
BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
MOST_OPERATIONS = 10_000
LARGEST_BODY = 3 * 1024 * 1024

try:
    Loader: Any = yaml.CSafeLoader
except AttributeError:  # PyYAML without its C part
    Loader = yaml.SafeLoader


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported(known: tuple[str, ...]) -> ApiError:
    told = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
    return ApiError(415, "UnsupportedMediaType", told)


def refuse_large(request: Request) -> None:
    if len(request.body) > LARGEST_BODY:
        told = f"Request entity too large: limit is {LARGEST_BODY}"
        raise ApiError(413, "RequestEntityTooLarge", told)


def read_object(request: Request, kind: str) -> Object:
    """The object that a POST or PUT carries.

    :raises ApiError: 400, no object; 415, another media type.
    """
    found = media_type(request) or "application/json"
    refuse_large(request)
    try:
        if found == "application/json":
            value = msgspec.json.decode(request.body)
        elif found == "application/yaml":
            value = load_yaml(request.body)
        elif found == "application/vnd.kubernetes.protobuf":
            return protobuf.decode(request.body)
        else:
            raise unsupported(BODY_TYPES)
    except protobuf.Malformed as error:
        raise bad_request(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise unrecognized(kind, f"couldn't get version/kind; json parse error: {error}", request.body) from error
    if not isinstance(value, dict):
        why = "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct"
        raise unrecognized(kind, why, request.body)
    return value


def glimpse(request: Request) -> Any:
    """What the body holds, for who looks before it is really read; None when it cannot be read."""
    try:
        return protobuf.decode(request.body) if request.body.startswith(protobuf.MAGIC) else load_yaml(request.body)
    except (protobuf.Malformed, UnicodeDecodeError, yaml.YAMLError):
        return None


def load_yaml(body: bytes) -> Any:
    """YAML 1.1, as the API server takes it: a bare y is a boolean; times stay text."""
    return yaml.load(body, Loader=_TextTimes)


class _TextTimes(Loader):  # type: ignore[misc]
    """Loads what looks like a time as text, and y and n as booleans."""


_TextTimes.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for key, pairs in Loader.yaml_implicit_resolvers.items()
}
_TextTimes.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"[yYnN]\Z"), list("yYnN"))
_TextTimes.bool_values = {**Loader.bool_values, "y": True, "n": False}


def read_config(request: Request) -> Object:
    """What an apply carries.

    :raises ApiError: 400
    """
    refuse_large(request)
    try:
        value = load_yaml(request.body) if not request.body.startswith(b"{") else msgspec.json.decode(request.body)
    except (yaml.YAMLError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: {error}") from error
    if not isinstance(value, dict):
        raise bad_request("error decoding YAML: json: cannot unmarshal into Go value of type map[string]interface {}")
    return value


def patch_types(res: Resource, subresource: str) -> tuple[str, ...]:
    known = (JSON, MERGE) if res.custom else (JSON, MERGE, STRATEGIC)
    return (*known, APPLY)


def read_patch(request: Request, res: Resource) -> Callable[[Object], Object]:
    """What the patch makes of an object.

    :raises ApiError: 400, no patch; 413, too many operations.
    """
    refuse_large(request)
    try:
        patch = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: {error}") from error
    found = media_type(request)
    if found == JSON:
        return _operations(patch)
    if not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    if found == STRATEGIC:
        return _strategic(res, patch)
    return lambda obj: merge.merge(obj, patch)


def _operations(patch: Any) -> Callable[[Object], Object]:
    if not isinstance(patch, list):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        )
    if len(patch) > MOST_OPERATIONS:
        told = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {told}")

    def change(obj: Object) -> Object:
        try:
            changed: Object = operations.apply(obj, patch)
        except (operations.PatchFailed, operations.Malformed) as error:
            told = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", told, {}) from error
        return changed

    return change


def _strategic(res: Resource, patch: Object) -> Callable[[Object], Object]:
    def change(obj: Object) -> Object:
        try:
            changed: Object = strategic.merge(node_for(res), obj, patch)
        except strategic.Malformed as error:
            raise ApiError(500, "", str(error)) from error
        return changed

    return change
