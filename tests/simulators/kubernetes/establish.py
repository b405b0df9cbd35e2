"""CustomResourceDefinitions at work: a stored one is served and established; a removed one takes its objects along."""

from __future__ import annotations

from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.kinds import Resource, crd_resource
from tests.simulators.kubernetes.registry import ownership, strategy
from tests.simulators.kubernetes.registry.options import Options
from tests.simulators.kubernetes.store import Object

CONDITIONS = (
    ("NamesAccepted", "NoConflicts", "no conflicts found"),
    ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
)

WRITER = Options(manager="kube-apiserver", trusted=True)
CLEANUP_SECONDS = 0.5


class Establisher:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.store.subscribe(self._changed)

    def _changed(self, event: str, res: Resource, obj: Object, old: Object | None) -> None:
        if res.kind != "CustomResourceDefinition":
            return
        if event == "DELETED":
            self._forget(obj)
        elif "deletionTimestamp" in obj["metadata"]:
            self.cluster.later(CLEANUP_SECONDS, lambda: self._finish(res, obj["metadata"]["name"]))
        elif old is None or old.get("spec") != obj.get("spec"):
            self.cluster.kinds.add_crd(obj)
            new = {**obj, "status": self._status(obj)}
            self.cluster.store.replace(res, ownership.of_update(self.cluster, res, obj, new, WRITER, "status"))

    def _finish(self, res: Resource, name: str) -> None:
        """The objects of a CRD that is being deleted go first, then it goes."""
        crd = self.cluster.store.get(res, "", name)
        if crd is not None and crd["metadata"].get("finalizers") == [strategy.CLEANUP]:
            self.cluster.store.remove(res, "", name)

    def _forget(self, crd: Object) -> None:
        served = crd_resource(crd["spec"], crd["spec"]["versions"][0])
        for obj in self.cluster.store.list(served):
            self.cluster.store.remove(served, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        self.cluster.kinds.remove_crd(crd["metadata"]["name"])

    def _status(self, crd: Object) -> Object:
        spec, now = crd["spec"], self.cluster.now()
        names = {"singular": spec["names"]["kind"].lower(), "listKind": f"{spec['names']['kind']}List", **spec["names"]}
        return {
            "conditions": [
                {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
                for type_, reason, message in CONDITIONS
            ],
            "acceptedNames": names,
            "storedVersions": [each["name"] for each in spec["versions"] if each.get("storage")],
        }
