"""Reads the protobuf bodies that kubectl's typed commands send; answers are always JSON, which they accept too.

The envelope: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

MAGIC = b"k8s\x00"
ZERO_COUNTS = {  # numbers and booleans that mean something when they are zero: pointers in Go
    "replicas", "partition", "terminationGracePeriodSeconds", "gracePeriodSeconds", "backoffLimit", "minReplicas",
    "ttlSecondsAfterFinished", "revisionHistoryLimit", "defaultMode", "mode", "automountServiceAccountToken",
    "enableServiceLinks", "runAsUser", "runAsGroup", "fsGroup", "runAsNonRoot", "allowPrivilegeEscalation",
    "readOnlyRootFilesystem", "privileged", "completions", "parallelism", "suspend", "orphanDependents", "controller",
    "blockOwnerDeletion", "allowed", "value",
}  # fmt: skip


class Malformed(ValueError):
    """The bytes are no protobuf object of a kind that is known here."""


@cache
def _messages() -> dict[str, dict[int, str]]:
    raw = msgspec.json.decode((Path(__file__).parent / "messages.json").read_bytes())
    return {name: {int(number): field for number, field in fields.items()} for name, fields in raw.items()}


def decode(body: bytes) -> dict[str, Any]:
    """The object in a protobuf body.

    :raises Malformed: it is none, or of a kind that is not known here.
    """
    if not body.startswith(MAGIC):
        raise Malformed("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_fields(body[len(MAGIC) :]))
        kinds = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
        api_version, kind = kinds.get(1, ""), kinds.get(2, "")
        found = _message(_message_name(api_version, kind), envelope.get(2, b""))
    except (IndexError, KeyError, ValueError, AttributeError, struct.error) as error:
        raise Malformed(f"the protobuf object cannot be read: {error!r}") from error
    return {"apiVersion": api_version, "kind": kind, **found}


def _message_name(api_version: str, kind: str) -> str:
    if kind == "DeleteOptions":
        return "meta.v1.DeleteOptions"
    group, _, version = api_version.rpartition("/")
    return f"{group.split('.')[0] or 'core'}.{version}.{kind}"


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(wire, -1)
        if wire == 2:
            size, at = _varint(data, at)
        if size < 0 or at + size > len(data):
            raise ValueError(f"wire type {wire}")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def _message(name: str, data: bytes) -> Any:
    special = SPECIAL.get(name)
    if special is not None:
        return special(data)
    if name.endswith(".ExtraValue"):
        return [value.decode() for _, value in _fields(data)]
    found: dict[str, Any] = {}
    fields = _messages()[name]
    for number, value in _fields(data):
        if number in fields:
            key, kind = fields[number].split(" ")
            _put(found, key, kind, value)
    return found


def _put(found: dict[str, Any], key: str, kind: str, value: Any) -> None:
    if kind.startswith("[]"):
        found.setdefault(key, []).append(_value(kind[2:], value))
    elif kind.startswith("{}"):
        entry = dict(_fields(value))
        found.setdefault(key, {})[entry.get(1, b"").decode()] = _value(kind[2:], entry.get(2, b""))
    else:
        read = _value(kind, value)
        empty = read in ("", None) or (read in (0, False) and key not in ZERO_COUNTS and kind in "iub")
        if not empty:
            found[key] = read


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "s":
            return value.decode()
        case "y":
            return base64.b64encode(value).decode()
        case "b":
            return bool(value)
        case "u":
            return value
        case "i":
            return value - (1 << 64) if value >= 1 << 63 else value
        case "d":
            return struct.unpack("<d", value)[0]
    return _message(kind, value)


def _moment(data: bytes) -> datetime | None:
    parts = dict(_fields(data))
    if not parts.get(1):
        return None
    return datetime.fromtimestamp(parts[1] + parts.get(2, 0) / 1e9, UTC)


def _time(data: bytes) -> str | None:
    moment = _moment(data)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _micro_time(data: bytes) -> str | None:
    moment = _moment(data)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def _quantity(data: bytes) -> str:
    text: str = dict(_fields(data)).get(1, b"0").decode()
    return text


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_fields(data))
    return parts.get(3, b"").decode() if parts.get(1) else _value("i", parts.get(2, 0))


def _json(data: bytes) -> Any:
    raw = dict(_fields(data)).get(1, b"")
    return json.loads(raw) if raw else None


SPECIAL: dict[str, Callable[[bytes], Any]] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.FieldsV1": _json,
    "meta.v1.Verbs": lambda data: [value.decode() for _, value in _fields(data)],
    "api.resource.Quantity": _quantity,
    "util.intstr.IntOrString": _int_or_string,
    "runtime.RawExtension": _json,
}
