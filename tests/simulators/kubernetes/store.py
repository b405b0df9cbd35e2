"""What etcd is to a cluster: objects, one growing revision, and the history that watches and old lists are served from.

Objects are plain dicts that nobody changes after they are stored; a change is a new dict.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulators.kubernetes.kinds import Resource

Object = dict[str, Any]
Key = tuple[str, str]
Listener = Callable[[str, Resource, Object, Object | None], None]

ADDED, MODIFIED, DELETED = "ADDED", "MODIFIED", "DELETED"
HISTORY = 100_000


class Compacted(Exception):
    """The asked revision is older than the history that is kept."""


@dataclass(frozen=True, slots=True)
class Change:
    revision: int
    type: str
    key: Key
    obj: Object
    """The object after the change; for DELETED its last form, with the revision of the deletion."""
    old: Object | None


class Store:
    def __init__(self) -> None:
        self.revision = 100
        self.compacted = self.revision
        """Changes up to this revision are gone from the history."""
        self._objects: dict[Key, dict[str, dict[str, Object]]] = {}
        self._history: list[Change] = []
        self._listeners: list[Listener] = []
        self._untold: deque[tuple[str, Resource, Object, Object | None]] = deque()
        self._telling = False

    def get(self, res: Resource, namespace: str, name: str) -> Object | None:
        return self._objects.get(res.key, {}).get(namespace if res.namespaced else "", {}).get(name)

    def list(self, res: Resource, namespace: str | None = None) -> list[Object]:
        """In the order of their keys: by namespace, then by name."""
        kept = self._objects.get(res.key, {})
        if namespace is not None:
            return [obj for _, obj in sorted(kept.get(namespace, {}).items())]
        return [obj for _, names in sorted(kept.items()) for _, obj in sorted(names.items())]

    def count(self, res: Resource, namespace: str | None = None) -> int:
        kept = self._objects.get(res.key, {})
        return len(kept.get(namespace, {})) if namespace is not None else sum(map(len, kept.values()))

    def create(self, res: Resource, obj: Object) -> Object:
        stored = self._stamp(obj)
        self._names(res, stored)[stored["metadata"]["name"]] = stored
        self._tell(ADDED, res, stored, None)
        return stored

    def replace(self, res: Resource, obj: Object, *, subresource: str = "") -> Object:
        """Stores the object in place of the one with its name; the same content again writes nothing."""
        names = self._names(res, obj)
        old = names[obj["metadata"]["name"]]
        if same(old, obj):
            return old
        stored = self._stamp(obj)
        names[stored["metadata"]["name"]] = stored
        self._tell(MODIFIED, res, stored, old)
        return stored

    def remove(self, res: Resource, namespace: str, name: str) -> Object | None:
        """The object's last form, with the revision of the removal; None if it was not there."""
        names = self._objects.get(res.key, {}).get(namespace if res.namespaced else "", {})
        old = names.pop(name, None)
        if old is None:
            return None
        gone = self._stamp(old)
        self._tell(DELETED, res, gone, old)
        return gone

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener after each change, in order; the answer ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def since(self, res: Resource, revision: int) -> Iterator[Change]:
        """The changes of a resource after a revision.

        :raises Compacted: some of them are no longer known.
        """
        if revision < self.compacted:
            raise Compacted
        start = bisect_right(self._history, revision, key=lambda change: change.revision)
        return (change for change in self._history[start:] if change.key == res.key)

    def list_at(self, res: Resource, namespace: str | None, revision: int) -> list[Object]:
        """The list as it was at a revision: what came later is undone.

        :raises Compacted: that is too long ago.
        """
        objects = {_place(obj): obj for obj in self.list(res, namespace)}
        for change in reversed(list(self.since(res, revision))):
            place = _place(change.obj)
            if namespace is not None and place[0] != namespace:
                continue
            if change.old is None:
                objects.pop(place, None)
            else:
                objects[place] = change.old
        return [obj for _, obj in sorted(objects.items(), key=lambda item: item[0])]

    def compact(self) -> None:
        """Throws the history away, as a cluster does every five minutes."""
        self.compacted = self.revision
        self._history.clear()

    def next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def _names(self, res: Resource, obj: Object) -> dict[str, Object]:
        namespace = obj["metadata"].get("namespace", "") if res.namespaced else ""
        return self._objects.setdefault(res.key, {}).setdefault(namespace, {})

    def _stamp(self, obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.next_revision())}}

    def _tell(self, type_: str, res: Resource, obj: Object, old: Object | None) -> None:
        self._history.append(Change(self.revision, type_, res.key, obj, old))
        if len(self._history) > 2 * HISTORY:
            self.compacted = self._history[HISTORY - 1].revision
            del self._history[:HISTORY]
        self._untold.append((type_, res, obj, old))
        if self._telling:
            return  # a listener that writes: all hear of this change after the one that they are hearing of
        self._telling = True
        try:
            while self._untold:
                change = self._untold.popleft()
                for listener in list(self._listeners):
                    listener(*change)
        finally:
            self._telling = False


def same(old: Object, new: Object) -> bool:
    """Whether a write would change nothing: versions and the times of managedFields do not count."""
    return _content(old) == _content(new)


def _content(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    if fields := metadata.get("managedFields"):
        timeless = ({**each, "time": ""} for each in fields)  # which also gives them their order
        metadata["managedFields"] = sorted(timeless, key=_owner)
    return {**obj, "metadata": metadata}


def _owner(entry: Object) -> tuple[str, ...]:
    return tuple(str(entry.get(name)) for name in ("manager", "operation", "subresource", "apiVersion"))


def _place(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
