"""What is wrong with claims, configuration and secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.simulators.kubernetes.schema import quantity
from tests.simulators.kubernetes.schema.metadata import config_key_faults
from tests.simulators.kubernetes.schema.validate import (
    Causes,
    forbidden,
    invalid,
    not_supported,
    required,
    too_long,
)  # fmt: skip

Object = dict[str, Any]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
LIMIT = 1024 * 1024  # bytes of a ConfigMap's or Secret's values together
SEALED = "field is immutable when `immutable` is set"
CLAIM_TEXT = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
NEEDED_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}

ACCOUNT_TOKEN, ACCOUNT = "kubernetes.io/service-account-token", "kubernetes.io/service-account.name"


def claim(obj: Object, old: Object | None) -> Causes:
    spec = obj.get("spec") or {}
    if old is None:
        return claim_spec_causes(spec, "spec")
    bound = (old.get("status") or {}).get("phase") == "Bound"
    before, after = _fixed(old["spec"], bound), _fixed(spec, bound)
    if before != after:
        return [forbidden("spec", CLAIM_TEXT)]
    former, asked = (_storage(each) for each in (old["spec"], spec))
    if bound and former and asked and quantity.parse(asked) < quantity.parse(former):
        return [forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")]
    return []


def _storage(spec: Object) -> str:
    found: str = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "")
    return found


def _fixed(spec: Object, bound: bool) -> Object:
    may = ("resources", "volumeAttributesClassName", "volumeName") if bound else ("volumeName", "storageClassName")
    kept = {key: value for key, value in spec.items() if key not in may}
    if "storageClassName" in spec:
        kept["storageClassName"] = spec["storageClassName"]
    return kept


def claim_spec_causes(spec: Object, path: str) -> Causes:
    causes: Causes = []
    modes = spec.get("accessModes") or []
    if not modes:
        causes.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    for mode in modes:
        if mode not in ACCESS_MODES:
            causes.append(not_supported(f"{path}.accessModes", mode, ACCESS_MODES))
    storage = _storage(spec)
    if not storage:
        causes.append(required(f"{path}.resources[storage]"))
    elif quantity.parse(storage) <= 0:
        causes.append(invalid(f"{path}.resources[storage]", storage, "must be greater than zero"))
    return causes


def config_map(obj: Object, old: Object | None) -> Causes:
    causes = _keys(obj.get("data") or {}, "data") + _keys(obj.get("binaryData") or {}, "binaryData")
    size = sum(len(value.encode()) for value in (obj.get("data") or {}).values())
    if size + _decoded_size(obj.get("binaryData") or {}) > LIMIT:
        causes.append(too_long("[]", LIMIT))
    return causes + _sealed(obj, old, ("data", "binaryData"))


def _keys(data: Object, path: str) -> Causes:
    return [invalid(f"{path}[{key}]", key, why) for key in data for why in config_key_faults(key)]


def _decoded_size(data: Object) -> int:
    return sum(len(value) * 3 // 4 for value in data.values())


def _sealed(obj: Object, old: Object | None, keys: tuple[str, ...]) -> Causes:
    if old is None or not old.get("immutable"):
        return []
    causes = [] if obj.get("immutable") else [forbidden("immutable", SEALED)]
    return causes + [forbidden(key, SEALED) for key in keys if obj.get(key) != old.get(key)]


def secret(obj: Object, old: Object | None) -> Causes:
    data, kind = obj.get("data") or {}, obj.get("type", "")
    causes: Causes = []
    if old is not None and old.get("type", "") != kind:
        causes.append(invalid("type", kind, "field is immutable"))
    causes += _keys(data, "data")
    if kind == ACCOUNT_TOKEN and ACCOUNT not in (obj.get("metadata", {}).get("annotations") or {}):
        causes.append(required(f"metadata.annotations[{ACCOUNT}]"))
    if _decoded_size(data) > LIMIT:
        causes.append(too_long("data", LIMIT))
    for key in NEEDED_KEYS.get(kind, ()):
        if key not in data:
            causes.append(required(f"data[{key}]"))
        elif key.startswith(".docker") and (why := _json_fault(base64.b64decode(data[key]))):
            causes.append(invalid(f"data[{key}]", "<secret contents redacted>", why))
    return causes + _sealed(obj, old, ("data",))


def _json_fault(text: bytes) -> str:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if error.pos >= len(error.doc):
            return "unexpected end of JSON input"
        return f"invalid character '{error.doc[error.pos]}' looking for beginning of value"
    except UnicodeDecodeError:
        return "invalid character looking for beginning of value"
    return ""
