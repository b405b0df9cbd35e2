"""Compares an answer with the recorded one, under the pointers that a step names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.simulators.conformance.tokens import Bindings

LEFT_OUT = ("kube-controller-manager", "kube-scheduler", "kubelet")
"""Managers whose entries are not compared: how they write is their own affair."""
REVIEWS = re.compile("authorization|authentication")
"""Answers of these groups are never stored: whose fields they are means nothing."""
WORDED = ("Conflict", "NotFound", "AlreadyExists", "Forbidden", "Invalid", "Unauthorized")
HASH_LABEL = "controller.kubernetes.io/hash"
"""A revision's hash, which is a token in its name; in this label it was left as it came."""
MISSING: Any = object()


def status_faults(expected: dict[str, Any], actual: Any, bindings: Bindings) -> Iterator[str]:
    """A body of kind Status; the message where it names things, not a decoder's."""
    if not isinstance(actual, dict) or actual.get("kind") != "Status":
        yield f"no Status: {actual!r:.300}"
        return
    for field in ("apiVersion", "status", "reason", "code"):
        if expected.get(field) != actual.get(field):
            yield f"{field}: {actual.get(field)!r} is not {expected.get(field)!r} ({actual.get('message')})"
    if "metadata" in expected:
        yield from differences(expected["metadata"], actual.get("metadata"), "metadata", bindings)
    before, after = dict(expected.get("details") or {}), dict(actual.get("details") or {})
    causes, found = before.pop("causes", []), after.pop("causes", [])
    yield from differences(before, after, "details", bindings)
    if sorted(map(_cause, causes)) != sorted(map(_cause, found)):
        yield f"causes: {[_cause(each) for each in found]} are not {[_cause(each) for each in causes]}"
    if (
        expected.get("reason") in WORDED
        and "decod" not in expected.get("message", "")
        and "patch:" not in expected["message"]
    ):
        wanted, got = words(expected.get("message", "")), words(actual.get("message", ""))
        if not bindings.matches(wanted, got):
            yield f"message: {actual.get('message')!r} is not {expected.get('message')!r}"


def _cause(cause: dict[str, Any]) -> tuple[str, str]:
    return cause.get("reason", ""), cause.get("field", "")


def words(message: str) -> str:
    """A message whose list of causes has no order."""
    message = message.partition("\n@@")[0]  # a difference as Go prints it
    head, found, rest = message.partition(" is invalid: [")
    if not found:
        return message
    return head + found + " ".join(sorted(re.split(r"[, ]+", rest.rstrip("]"))))


def body_faults(step: dict[str, Any], actual: Any, bindings: Bindings) -> Iterator[str]:
    expected = step["response"].get("body")
    if isinstance(expected, dict) and expected.get("kind") == "Status" and expected.get("status") == "Failure":
        yield from status_faults(expected, actual, bindings)
        return
    for pointer in step.get("check") or ():
        yield from pointed_faults(pointer, expected, actual, bindings)
    if isinstance(expected, dict) and isinstance(actual, dict):
        yield from owner_faults(expected, actual, bindings)


def pointed_faults(pointer: str, expected: Any, actual: Any, bindings: Bindings) -> Iterator[str]:
    if pointer in ("/", ""):
        yield from differences(expected, actual, "", bindings)
        return
    yield from _walk([part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]], expected, actual, "",
                     bindings)  # fmt: skip


def _walk(parts: list[str], expected: Any, actual: Any, path: str, bindings: Bindings) -> Iterator[str]:
    if not parts:
        yield from differences(expected, actual, path, bindings)
        return
    first, rest = parts[0], parts[1:]
    if first == "*":
        before, after = expected or [], actual if isinstance(actual, list) else []
        if len(before) != len(after):
            yield f"{path}: {len(after)} elements instead of {len(before)}"
        for number, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from _walk(rest, one, other, f"{path}/{number}", bindings)
        return
    yield from _walk(rest, _step(expected, first), _step(actual, first), f"{path}/{first}", bindings)


def _step(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, MISSING)
    if isinstance(value, list) and part.isdigit() and int(part) < len(value):
        return value[int(part)]
    return MISSING


def differences(expected: Any, actual: Any, path: str, bindings: Bindings) -> Iterator[str]:
    """Where two values differ; managedFields are compared by their own rule."""
    if path.endswith("managedFields"):
        return
    if path.endswith(HASH_LABEL):
        expected = "<hash>"
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected.keys() | actual.keys():
            one, other = expected.get(key, MISSING), actual.get(bindings.fill(key), MISSING)
            yield from differences(one, other, f"{path}/{key}", bindings)
    elif isinstance(expected, list) and isinstance(actual, list):
        yield from _list_differences(expected, actual, path, bindings)
    elif isinstance(expected, str):
        if actual is MISSING or not bindings.matches(expected, actual):
            yield f"{path}: {_shown(actual)} instead of {expected!r:.400}"
    elif expected is not actual and (expected != actual or isinstance(expected, bool) != isinstance(actual, bool)):
        yield f"{path}: {_shown(actual)} instead of {_shown(expected)}"


def _list_differences(expected: list[Any], actual: list[Any], path: str, bindings: Bindings) -> Iterator[str]:
    if unordered(path):
        expected, actual = sorted(expected, key=repr), sorted(actual, key=repr)
    if len(expected) != len(actual):
        yield f"{path}: {actual!r:.400} instead of {expected!r:.400}"
        return
    for number, (one, other) in enumerate(zip(expected, actual, strict=True)):
        yield from differences(one, other, f"{path}/{number}", bindings)


def unordered(path: str) -> bool:
    return path in ("/resources", "/status/resourceRules", "/status/nonResourceRules", "/groups")


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else f"{value!r:.400}"


def owner_faults(expected: dict[str, Any], actual: dict[str, Any], bindings: Bindings) -> Iterator[str]:
    """managedFields of an object, as a set."""
    before = (expected.get("metadata") or {}).get("managedFields") if "items" not in expected else None
    if not isinstance(before, list) or "metadata" not in actual or REVIEWS.match(expected.get("apiVersion", "")):
        return
    wanted = {_owner(each): each for each in before if each["manager"] not in LEFT_OUT}
    found = {_owner(each): each for each in actual["metadata"].get("managedFields") or ()
             if each["manager"] not in LEFT_OUT}  # fmt: skip
    for owner in wanted.keys() | found.keys():
        one, other = wanted.get(owner), found.get(owner)
        if one is None or other is None:
            yield f"managedFields of {owner}: {'too many' if one is None else 'missing'}"
            continue
        yield from differences(bindings.fill(one["fieldsV1"]), other.get("fieldsV1"), f"managed {owner}", bindings)
        if ("time" in one) != ("time" in other):
            yield f"managedFields of {owner}: time {other.get('time')} instead of {one.get('time')}"


def _owner(entry: dict[str, Any]) -> tuple[str, ...]:
    return entry["manager"], entry["operation"], entry.get("subresource", ""), entry.get("apiVersion", "")


def event_faults(step: dict[str, Any], events: list[Any], bindings: Bindings) -> Iterator[str]:
    expected = step["response"]["events"]
    kept = relevant(events, expected)
    shape = [(each["type"], (each.get("object") or {}).get("kind")) for each in kept]
    if shape != [(each["type"], each["object"].get("kind")) for each in expected]:
        yield f"events: {shape} instead of {[(each['type'], each['object'].get('kind')) for each in expected]}"
        return
    for one, other in zip(expected, kept, strict=True):
        if one["object"].get("kind") == "Status":
            yield from status_faults(one["object"], other["object"], bindings)
    wrapped = ({"events": [_masked(each) for each in expected]}, {"events": [_masked(each) for each in kept]})
    for pointer in step.get("check") or ():
        yield from pointed_faults(pointer, *wrapped, bindings)


def _masked(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": event["type"]} if event["object"].get("kind") == "Status" else event


def relevant(events: list[Any], expected: list[Any]) -> list[Any]:
    """Without the bookmarks that a server may send when it likes; the last one stays where one is expected."""

    def periodic(event: Any) -> bool:
        annotations = (event.get("object", {}).get("metadata") or {}).get("annotations") or {}
        return event["type"] == "BOOKMARK" and "k8s.io/initial-events-end" not in annotations

    bookmarks = [each for each in events if periodic(each)]
    last = bookmarks[-1:] if any(periodic(each) for each in expected) else []
    return [each for each in events if not periodic(each) or each in last]
