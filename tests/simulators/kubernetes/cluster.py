"""The cluster's one state, and the facade that controllers work through: objects by kind, a clock, changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from tests.simulators.kubernetes.builtins import builtin_resources
from tests.simulators.kubernetes.errors import not_found
from tests.simulators.kubernetes.kinds import Kinds, Resource
from tests.simulators.kubernetes.registry import delete, write
from tests.simulators.kubernetes.registry.options import Options
from tests.simulators.kubernetes.store import Object, Store

Admission = Callable[[str, Resource, Object, Object | None], None]
"""Called with verb, resource, object and its old form before a write; refuses by raising ApiError."""
Listener = Callable[[str, str, Object, Object | None], None]
CONTROLLER = Options(manager="kube-controller-manager", trusted=True)


class Cluster:
    """All of it lives on one asyncio loop: nothing here takes a lock."""

    def __init__(self, *, speed: float = 1.0) -> None:
        self.kinds = Kinds(builtin_resources())
        self.store = Store()
        self.mutating: list[Admission] = []
        """Hooks that may change the object in place; the first one must stand an object that does not fit its schema."""
        self.admission: list[Admission] = []
        """Hooks that only judge; they come after validation."""
        self.speed = speed
        self.connector: Any = None
        """Answers log, eviction and proxies (controllers.connect.Connector)."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[float, Callable[[], None]]] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        waiting, self._waiting = self._waiting, []
        for seconds, callback in waiting:
            self.later(seconds, callback)

    # --- objects

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        return self.store.get(self.resource(kind), namespace, name)

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        return self.store.list(self.resource(kind), namespace)

    def create(self, kind: str, obj: Object, options: Options = CONTROLLER) -> Object:
        return write.create(self, self.resource(kind), obj["metadata"].get("namespace", ""), obj, options).obj

    def update(self, kind: str, obj: Object, options: Options = CONTROLLER) -> Object:
        """Replaces the object, its status aside; with the version it was read at, or whatever it is now."""
        res, metadata = self.resource(kind), obj["metadata"]
        return write.replace(self, res, metadata.get("namespace", ""), metadata["name"], obj, options).obj

    def patch_status(
        self, kind: str, namespace: str, name: str, status: Object, options: Options = CONTROLLER
    ) -> Object:
        """Puts these fields into the status, others stay; None removes one."""
        res = self.resource(kind)
        old = self.store.get(res, namespace, name)
        if old is None:
            raise not_found(res.group, res.plural, name)
        merged = {key: value for key, value in {**(old.get("status") or {}), **status}.items() if value is not None}
        new = {**old, "status": merged}
        return write.replace(self, res, namespace, name, new, options, subresource="status").obj

    def delete(self, kind: str, namespace: str, name: str, **options: Any) -> None:
        """As a client deletes: `propagationPolicy`, `gracePeriodSeconds`, `preconditions` are options.

        :raises ApiError: it is not there, or a precondition does not hold.
        """
        delete.delete(self, self.resource(kind), namespace, name, options, CONTROLLER)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Ends an object at once, finalizers or not: for what has really ended, like a pod whose time is up."""
        self.store.remove(self.resource(kind), namespace, name)

    def resource(self, kind: str) -> Resource:
        found = self.kinds.named(kind)
        if found is None:
            raise LookupError(f"no kind {kind}")
        return found

    # --- changes and time

    def on_change(self, kinds: Iterable[str], callback: Listener) -> None:
        """Calls back with event type, kind, object and its old form after each change of one of the kinds."""
        wanted = set(kinds)

        def told(event: str, res: Resource, obj: Object, old: Object | None) -> None:
            if res.kind in wanted:
                callback(event, res.kind, obj, old)

        self.store.subscribe(told)

    def later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle | None:
        """Calls back after so many played seconds. Before the start it is put off until then."""
        if self._loop is None:
            self._waiting.append((seconds, callback))
            return None
        return self._loop.call_later(seconds / self.speed, callback)

    def now(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def now_micro(self) -> str:
        return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
