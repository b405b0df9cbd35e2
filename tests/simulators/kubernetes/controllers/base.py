"""What every controller is made of: a queue of keys, worked off on the cluster's loop and filled by changes only.

Nothing here polls. A controller names the kinds whose changes wake it, turns a change into keys of its own objects, and
`sync` compares one object with what belongs to it. A key that fails is tried again later, each time after a longer wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.simulators.kubernetes.errors import ApiError

Object = dict[str, Any]
Key = tuple[str, str]
log = logging.getLogger(__name__)

BATCH_SECONDS = 0.01
"""How long a controller may hold the loop before requests get their turn."""
LONGEST_WAIT = 30.0


class Controller:
    """A work queue with one `sync` for each key; equal keys that wait are one."""

    kinds: tuple[str, ...] = ()
    delay = 0.0
    """Real seconds from a change to its treatment: what comes meanwhile is treated together."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._queue: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._scheduled = False
        if self.kinds:
            cluster.on_change(self.kinds, self.changed)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        """A change of one of `kinds`; by default the object itself is looked at."""
        self.enqueue(namespace_of(obj), name_of(obj))

    def sync(self, namespace: str, name: str) -> None:
        raise NotImplementedError

    def enqueue(self, namespace: str, name: str) -> None:
        self._queue[namespace, name] = None
        if not self._scheduled:
            self._scheduled = True
            self.cluster.later(self.delay * self.cluster.speed, self._work)

    def enqueue_later(self, seconds: float, namespace: str, name: str) -> None:
        self.cluster.later(seconds, lambda: self.enqueue(namespace, name))

    def _work(self) -> None:
        self._scheduled = False
        end = time.monotonic() + BATCH_SECONDS
        while self._queue and time.monotonic() < end:
            key = next(iter(self._queue))
            del self._queue[key]
            self._try(key)
        if self._queue and not self._scheduled:
            self._scheduled = True
            self.cluster.later(0, self._work)

    def _try(self, key: Key) -> None:
        try:
            self.sync(*key)
        except ApiError as error:
            tries = self._failures[key] = self._failures.get(key, 0) + 1
            log.debug("%s of %s: %s", type(self).__name__, key, error)
            self.enqueue_later(min(0.2 * 2 ** min(tries, 10), LONGEST_WAIT), *key)
        except Exception:  # a broken controller must not stop the others on this loop; the log tells
            log.exception("%s of %s", type(self).__name__, key)
        else:
            self._failures.pop(key, None)


def name_of(obj: Mapping[str, Any]) -> str:
    return obj["metadata"]["name"]


def namespace_of(obj: Mapping[str, Any]) -> str:
    """The object's namespace, "" for one that has none."""
    return obj["metadata"].get("namespace", "")


def uid_of(obj: Mapping[str, Any]) -> str:
    return obj["metadata"]["uid"]


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def terminating(obj: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in obj["metadata"]


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The one owner that controls the object."""
    return next((ref for ref in obj["metadata"].get("ownerReferences") or () if ref.get("controller")), None)


def owner_reference(owner: Object, api_version: str, kind: str) -> Object:
    metadata = owner["metadata"]
    return {
        "apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def with_metadata(obj: Object, **fields: Any) -> Object:
    """A copy with these metadata fields; None removes one."""
    metadata = {key: value for key, value in {**obj["metadata"], **fields}.items() if value is not None}
    return {**obj, "metadata": metadata}


def condition(obj: Mapping[str, Any], type_: str) -> Mapping[str, Any]:
    return next((each for each in (obj.get("status") or {}).get("conditions") or () if each["type"] == type_), {})


def set_condition(conditions: Iterable[Mapping[str, Any]], now: str, **new: Any) -> list[Object]:
    """The conditions with this one put in its place; the transition time stays while the status stays."""
    found = [dict(each) for each in conditions]
    for number, each in enumerate(found):
        if each["type"] == new["type"]:
            since = each.get("lastTransitionTime", now) if each.get("status") == new["status"] else now
            found[number] = {**new, "lastTransitionTime": since}
            return found
    return [*found, {**new, "lastTransitionTime": now}]


def is_ready(pod: Mapping[str, Any]) -> bool:
    return condition(pod, "Ready").get("status") == "True"


def finished(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def present(**fields: Any) -> Object:
    """The fields that are neither None nor 0: API servers leave out empty optional fields."""
    return {key: value for key, value in fields.items() if value not in (None, 0)}
