"""How controllers read and write: by kind name, straight into the store where the API server would only copy.

Kinds are named by `Kind`, those of CRDs by `Kind.group`.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tests.simulators.kubernetes.kinds import Resource
from tests.simulators.kubernetes.registry.options import Options

from .base import Object, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

Listener = Callable[[str, str, Object, Object | None], None]
SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
"""Letters of generated names (k8s.io/apimachinery, util/rand)."""
MODERN = ("default-scheduler",)
"""Components that record events of the newer form: eventTime and action instead of counts."""


def kind_name(res: Resource) -> str:
    return f"{res.kind}.{res.group}" if res.custom else res.kind


class Hands:
    def __init__(self, cluster: Cluster, ca_pem: str = "") -> None:
        self.cluster, self.kinds, self.store, self.ca_pem = cluster, cluster.kinds, cluster.store, ca_pem
        self.now, self.later, self.speed = cluster.now, cluster.later, cluster.speed
        self._resources: dict[str, Resource | None] = {}
        self._known = -1
        self._listeners: dict[str, list[Listener]] = defaultdict(list)
        self._everything: list[Listener] = []
        self._events: dict[tuple[str, ...], str] = {}
        cluster.store.subscribe(self._changed)

    # --- kinds

    def resource(self, kind: str) -> Resource | None:
        if self._known != self.kinds.revision:
            self._resources.clear()
            self._known = self.kinds.revision
        if kind not in self._resources:
            self._resources[kind] = self.kinds.named(kind)
        return self._resources[kind]

    def kind_of(self, api_version: str, kind: str) -> str | None:
        """The name of a kind as an ownerReference tells it; None for one that is not served."""
        group = api_version.rpartition("/")[0]
        res = self.kinds.by_kind(group, kind)
        return kind_name(res) if res else None

    def plural(self, kind: str) -> str:
        """`configmaps.`, `widgets.example.com`: as a namespace's conditions name what remains."""
        res = self.resource(kind)
        return f"{res.plural}.{res.group}" if res else kind

    # --- reading

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        res = self.resource(kind)
        return self.store.get(res, namespace, name) if res else None

    def list(self, kind: str, namespace: str | None = None) -> list[Object]:
        res = self.resource(kind)
        return self.store.list(res, namespace) if res else []

    def contents(self, namespace: str) -> list[tuple[str, Object]]:
        """All objects of a namespace, each once, with the names of their kinds."""
        seen: dict[tuple[str, str], Resource] = {}
        for res in self.kinds.all():
            if res.namespaced and "list" in res.verbs:
                seen.setdefault(res.key, res)
        return [(kind_name(res), obj) for res in seen.values() for obj in self.store.list(res, namespace)]

    # --- writing

    def create(self, kind: str, obj: Object, *, manager: str = "kube-controller-manager") -> Object:
        """As a client creates: with defaults and admission.

        :raises ApiError: refused.
        """
        res = self._named(kind)
        typed = {"apiVersion": res.api_version, "kind": res.kind, **obj}
        return self.cluster.create(kind, typed, Options(manager=manager, trusted=True))

    def update(self, kind: str, obj: Object, *, manager: str = "kube-controller-manager") -> Object:
        """Replaces all but the status, as a client does; drops an object whose last finalizer went.

        :raises ApiError: refused, or another write came first.
        """
        self._named(kind)
        return self.cluster.update(kind, obj, Options(manager=manager, trusted=True))

    def put(self, kind: str, obj: Object) -> Object:
        """Stores the whole object, spec and status, as it stands: for what the API server writes itself."""
        return self.store.replace(self._named(kind), obj)

    def put_status(self, kind: str, obj: Object, status: Object) -> Object | None:
        """Writes a whole new status over the object as it is now; nothing if it is gone."""
        fresh = self.get(kind, namespace_of(obj), name_of(obj))
        if fresh is None or uid_of(fresh) != uid_of(obj):
            return None
        return self.put(kind, {**fresh, "status": status})

    def delete(self, kind: str, namespace: str, name: str, *, grace: int | None = None, propagation: str = "") -> None:
        """As a client deletes; no error when it is gone already."""
        if self.get(kind, namespace, name) is None:
            return
        options: dict[str, Any] = {}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if propagation:
            options["propagationPolicy"] = propagation
        self.cluster.delete(kind, namespace, name, **options)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        self.cluster.remove(kind, namespace, name)

    def _named(self, kind: str) -> Resource:
        res = self.resource(kind)
        if res is None:
            raise LookupError(f"no kind {kind}")
        return res

    # --- changes

    def on_change(self, kinds: Iterable[str] | None, callback: Listener) -> None:
        """Calls back with event, kind, object and its old form; None listens to everything."""
        if kinds is None:
            self._everything.append(callback)
        for kind in kinds or ():
            self._listeners[kind].append(callback)

    def _changed(self, event: str, res: Resource, obj: Object, old: Object | None) -> None:
        kind = kind_name(res)
        for listener in self._listeners.get(kind, ()):
            listener(event, kind, obj, old)
        if kind != "Event":
            for listener in self._everything:
                listener(event, kind, obj, old)

    # --- events

    def record_event(
        self, obj: Object, type_: str, reason: str, message: str, component: str, *, action: str = "", host: str = ""
    ) -> None:
        """An Event about the object; the same one again is counted."""
        namespace = namespace_of(obj) or "default"
        key = (uid_of(obj), reason, message, component)
        known = self.get("Event", namespace, self._events.get(key, ""))
        if known is not None:
            self._count(known)
            return
        if self._closing(namespace):
            return
        made = self.create(
            "Event", self._event(obj, type_, reason, message, component, action=action, host=host), manager=component
        )
        self._events[key] = name_of(made)

    def _closing(self, namespace: str) -> bool:
        found = self.get("Namespace", "", namespace)
        return found is None or "deletionTimestamp" in found["metadata"]

    def _count(self, known: Object) -> None:
        if known.get("eventTime"):
            series = {
                "count": (known.get("series") or {}).get("count", 1) + 1,
                "lastObservedTime": self.cluster.now_micro(),
            }
            self.put("Event", {**known, "series": series})
        else:
            self.put("Event", {**known, "count": known.get("count", 1) + 1, "lastTimestamp": self.now()})

    def _event(
        self, obj: Object, type_: str, reason: str, message: str, component: str, *, action: str, host: str
    ) -> Object:
        metadata = obj["metadata"]
        involved = {
            "kind": obj.get("kind"), "namespace": metadata.get("namespace"), "name": metadata["name"],
            "uid": metadata.get("uid"), "apiVersion": obj.get("apiVersion"), "resourceVersion": metadata.get("resourceVersion"),
        }  # fmt: skip
        made: Object = {
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}", "namespace": namespace_of(obj) or "default"},
            "involvedObject": {key: value for key, value in involved.items() if value},
            "reason": reason, "message": message, "type": type_, "reportingComponent": component,
        }  # fmt: skip
        if component in MODERN:
            times = {"firstTimestamp": None, "lastTimestamp": None, "eventTime": self.cluster.now_micro()}
            return {**made, **times, "source": {}, "action": action, "reportingInstance": f"{component}-simulator"}
        now = self.now()
        source = {"component": component, **({"host": host} if host else {})}
        times = {"firstTimestamp": now, "lastTimestamp": now, "eventTime": None}
        return {**made, **times, "source": source, "count": 1, "reportingInstance": host}
