"""Garbage collection: dependents follow their owners, in the background, in the foreground, or are left as orphans."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .base import Controller, Object, name_of, namespace_of, terminating, uid_of, with_metadata

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
Place = tuple[str, str, str]


class GarbageCollector(Controller):
    """Keys are places of objects, (kind, namespace/name); an index leads from an owner's uid to its dependents."""

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self._dependents: dict[str, dict[Place, None]] = defaultdict(dict)
        self._alive: set[str] = set()
        cluster.on_change(None, self._changed)

    def _changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        place = (kind, namespace_of(obj), name_of(obj))
        self._note_owners(place, event, obj, old)
        if event == "DELETED":
            self._alive.discard(uid_of(obj))
            for each in list(self._dependents.get(uid_of(obj), ())):
                self._look(each)
            self._wake_owners(obj)
            return
        self._alive.add(uid_of(obj))
        if (terminating(obj) and {FOREGROUND, ORPHAN} & set(obj["metadata"].get("finalizers") or ())) or (
            obj["metadata"].get("ownerReferences") and (old is None or owners(old) != owners(obj))
        ):
            self._look(place)

    def _note_owners(self, place: Place, event: str, obj: Object, old: Object | None) -> None:
        after = set() if event == "DELETED" else owners(obj)
        for uid in (owners(old) if old else owners(obj)) - after:
            self._dependents[uid].pop(place, None)
            if not self._dependents[uid]:
                del self._dependents[uid]
        for uid in after:
            self._dependents[uid][place] = None

    def _wake_owners(self, obj: Object) -> None:
        """An owner that waits for its dependents looks again."""
        for ref in obj["metadata"].get("ownerReferences") or ():
            if kind := self.cluster.kind_of(ref["apiVersion"], ref["kind"]):
                self._look((kind, namespace_of(obj), ref["name"]))
                self._look((kind, "", ref["name"]))

    def _look(self, place: Place) -> None:
        self.enqueue(place[0], f"{place[1]}/{place[2]}")

    def sync(self, kind: str, path: str) -> None:
        namespace, _, name = path.partition("/")
        obj = self.cluster.get(kind, namespace, name)
        if obj is None:
            return
        finalizers = obj["metadata"].get("finalizers") or []
        if terminating(obj) and ORPHAN in finalizers:
            self._orphan(kind, obj)
        elif terminating(obj) and FOREGROUND in finalizers:
            self._foreground(kind, obj)
        elif not terminating(obj) and obj["metadata"].get("ownerReferences"):
            self._collect(kind, obj)

    def _collect(self, kind: str, obj: Object) -> None:
        """Deletes an object none of whose owners is there; drops references to those that are gone."""
        refs = obj["metadata"]["ownerReferences"]
        solid = [ref for ref in refs if ref["uid"] in self._alive]
        if not solid:
            self.cluster.delete(kind, namespace_of(obj), name_of(obj), propagation="Background")
        elif len(solid) < len(refs):
            self.cluster.update(kind, with_metadata(obj, ownerReferences=solid))

    def _foreground(self, kind: str, owner: Object) -> None:
        blocked = False
        for place in list(self._dependents.get(uid_of(owner), ())):
            dependent = self.cluster.get(*place)
            if dependent is None:
                continue
            blocked |= any(
                ref["uid"] == uid_of(owner) and ref.get("blockOwnerDeletion")
                for ref in dependent["metadata"]["ownerReferences"]
            )
            if not terminating(dependent):
                self.cluster.delete(*place, propagation="Foreground" if place[0] != "Pod" else "Background")
                blocked &= self.cluster.get(*place) is not None
        if not blocked:
            self._drop_finalizer(kind, owner, FOREGROUND)

    def _orphan(self, kind: str, owner: Object) -> None:
        for place in list(self._dependents.get(uid_of(owner), ())):
            dependent = self.cluster.get(*place)
            if dependent is not None:
                rest = [ref for ref in dependent["metadata"]["ownerReferences"] if ref["uid"] != uid_of(owner)]
                self.cluster.update(place[0], with_metadata(dependent, ownerReferences=rest or None))
        self._drop_finalizer(kind, owner, ORPHAN)

    def _drop_finalizer(self, kind: str, obj: Object, finalizer: str) -> None:
        fresh = self.cluster.get(kind, namespace_of(obj), name_of(obj))
        if fresh is not None:
            rest = [each for each in fresh["metadata"].get("finalizers") or () if each != finalizer]
            self.cluster.update(kind, with_metadata(fresh, finalizers=rest or None))


def owners(obj: Object | None) -> set[str]:
    return {ref["uid"] for ref in (obj or {}).get("metadata", {}).get("ownerReferences") or ()}
