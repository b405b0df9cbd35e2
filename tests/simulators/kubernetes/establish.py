"""CustomResourceDefinitions at work: a stored one is served and established; a removed one takes its objects along."""

from __future__ import annotations

from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.kinds import Resource, crd_resource
from tests.simulators.kubernetes.store import Object

CONDITIONS = (
    ("NamesAccepted", "NoConflicts", "no conflicts found"),
    ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
)


class Establisher:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.store.subscribe(self._changed)

    def _changed(self, event: str, res: Resource, obj: Object, old: Object | None) -> None:
        if res.kind != "CustomResourceDefinition":
            return
        if event == "DELETED":
            self._forget(obj)
        elif old is None or old.get("spec") != obj.get("spec"):
            self.cluster.kinds.add_crd(obj)
            self.cluster.store.replace(res, {**obj, "status": self._status(obj)})

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
