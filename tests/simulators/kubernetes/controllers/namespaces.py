"""Namespaces: what a new one gets, and how a deleted one is emptied."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .base import Controller, Object, name_of, namespace_of, terminating

CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
ROOT_CA = "kube-root-ca.crt"
FINE = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


class Namespaces(Controller):
    kinds = ("Namespace", "ServiceAccount", "ConfigMap")

    def __init__(self, cluster: Any) -> None:
        super().__init__(cluster)
        self._emptying: set[str] = set()
        cluster.on_change(None, self._anything_changed)

    def changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        if kind == "Namespace":
            self.enqueue("", name_of(obj))
        elif event == "DELETED" and name_of(obj) in ("default", ROOT_CA):
            self.enqueue("", namespace_of(obj))

    def _anything_changed(self, event: str, kind: str, obj: Object, old: Object | None) -> None:
        """Something went away or changed in a namespace that is being emptied."""
        if self._emptying and namespace_of(obj) in self._emptying:
            self.enqueue("", namespace_of(obj))

    def sync(self, namespace: str, name: str) -> None:
        found = self.cluster.get("Namespace", "", name)
        if found is None:
            self._emptying.discard(name)
        elif terminating(found):
            self._empty(found)
        else:
            self._furnish(name)

    def _furnish(self, name: str) -> None:
        if self.cluster.get("ServiceAccount", name, "default") is None:
            self.cluster.create("ServiceAccount", {"metadata": {"name": "default", "namespace": name}})
        if self.cluster.get("ConfigMap", name, ROOT_CA) is None:
            note = {"kubernetes.io/description": CA_NOTE}
            metadata = {"name": ROOT_CA, "namespace": name, "annotations": note}
            self.cluster.create("ConfigMap", {"metadata": metadata, "data": {"ca.crt": self.cluster.ca_pem}})

    def _empty(self, found: Object) -> None:
        name = name_of(found)
        self._emptying.add(name)
        for kind, obj in self.cluster.contents(name):
            if not terminating(obj):
                self.cluster.delete(kind, name, name_of(obj))
        left = self.cluster.contents(name)
        if left:
            self._tell_what_remains(found, left)
        else:
            self._emptying.discard(name)
            self.cluster.remove("Namespace", "", name)

    def _tell_what_remains(self, found: Object, left: list[tuple[str, Object]]) -> None:
        holders = Counter(finalizer for _, obj in left for finalizer in obj["metadata"].get("finalizers") or ())
        if not holders:
            return
        plurals = Counter(self.cluster.plural(kind) for kind, _ in left)
        told = {key: ("False", *words) for key, words in FINE.items()}
        remaining = ", ".join(f"{plural} has {count} resource instances" for plural, count in sorted(plurals.items()))
        told["NamespaceContentRemaining"] = (
            "True",
            "SomeResourcesRemain",
            f"Some resources are remaining: {remaining}",
        )
        held = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(holders.items()))
        held = f"Some content in the namespace has finalizers remaining: {held}"
        told["NamespaceFinalizersRemaining"] = ("True", "SomeFinalizersRemain", held)
        before = {each["type"]: each for each in (found.get("status") or {}).get("conditions") or ()}
        now = self.cluster.now()

        def since(type_: str, status: str) -> str:
            was = before.get(type_, {})
            return was["lastTransitionTime"] if was.get("status") == status else now

        conditions = [
            {
                "type": type_, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": since(type_, status),
            }
            for type_, (status, reason, message) in told.items()
        ]  # fmt: skip
        status = {**(found.get("status") or {}), "phase": "Terminating", "conditions": conditions}
        self.cluster.put_status("Namespace", found, status)
