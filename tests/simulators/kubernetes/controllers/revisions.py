"""The ControllerRevisions of a StatefulSet: one for each template, named by its hash."""

from __future__ import annotations

from typing import Any

import msgspec

from .base import Object, labels_of, name_of, namespace_of, owner_reference
from .hands import SUFFIX
from .lookups import Index, controller_uid

encode = msgspec.json.Encoder(order="sorted").encode


def safe_hash(data: bytes) -> str:
    """FNV-1 of 32 bits, its decimal digits spelled with safe letters, as names of revisions are made."""
    value = 0x811C9DC5
    for byte in data:
        value = (value * 0x01000193) & 0xFFFFFFFF ^ byte
    return "".join(SUFFIX[ord(digit) % len(SUFFIX)] for digit in str(value))


def template_data(template: Object) -> Object:
    return {"spec": {"template": {**template, "$patch": "replace"}}}


class Revisions:
    """Finds and makes the revision of a StatefulSet's template."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self._owned = Index(cluster, "ControllerRevision", controller_uid)
        self._last: dict[str, tuple[Object, str]] = {}

    def of(self, owner: Object) -> list[Object]:
        return sorted(self._owned.find(owner["metadata"]["uid"]), key=lambda each: each["revision"])

    def update_revision(self, owner: Object) -> str:
        """The name of the revision that the template asks for; a former one that is wanted again becomes the newest."""
        template, uid = owner["spec"]["template"], owner["metadata"]["uid"]
        known = self._last.get(uid)
        if known is not None and known[0] is template:
            return known[1]
        name = self._find_or_make(owner, template_data(template))
        self._last[uid] = (template, name)
        return name

    def forget(self, uid: str) -> None:
        self._last.pop(uid, None)

    def template(self, owner: Object, name: str) -> Object:
        """The pod template that a revision keeps; the owner's own when the revision is gone."""
        found = self.cluster.get("ControllerRevision", namespace_of(owner), name)
        if found is None:
            return owner["spec"]["template"]
        return {key: value for key, value in found["data"]["spec"]["template"].items() if key != "$patch"}

    def prune(self, owner: Object, live: set[str]) -> None:
        """Drops the oldest revisions that nothing uses, beyond revisionHistoryLimit."""
        spare = [each for each in self.of(owner) if name_of(each) not in live]
        for each in spare[: max(0, len(spare) - owner["spec"].get("revisionHistoryLimit", 10))]:
            self.cluster.delete("ControllerRevision", namespace_of(each), name_of(each))

    def _find_or_make(self, owner: Object, data: Object) -> str:
        existing = self.of(owner)
        newest = existing[-1]["revision"] if existing else 0
        for each in existing:
            if each["data"] == data:
                if each["revision"] != newest:
                    self.cluster.put("ControllerRevision", {**each, "revision": newest + 1})
                return name_of(each)
        hash_ = safe_hash(encode(data) + b"0")
        name = f"{name_of(owner)}-{hash_}"
        labels = {
            **labels_of({"metadata": owner["spec"]["template"].get("metadata") or {}}),
            "controller.kubernetes.io/hash": hash_,
        }
        metadata = {
            "name": name, "namespace": namespace_of(owner), "labels": labels,
            "ownerReferences": [owner_reference(owner, "apps/v1", "StatefulSet")],
        }  # fmt: skip
        if self.cluster.get("ControllerRevision", namespace_of(owner), name) is None:
            made = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data}
            self.cluster.create("ControllerRevision", {**made, "revision": newest + 1})
        else:
            self._adopt(owner, name, newest + 1)
        return name

    def _adopt(self, owner: Object, name: str, revision: int) -> None:
        """A revision that an earlier StatefulSet of the name left behind (propagation Orphan)."""
        found = self.cluster.get("ControllerRevision", namespace_of(owner), name)
        metadata = {**found["metadata"], "ownerReferences": [owner_reference(owner, "apps/v1", "StatefulSet")]}
        self.cluster.put("ControllerRevision", {**found, "metadata": metadata, "revision": revision})
