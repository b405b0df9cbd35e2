"""The cluster behind the API, played: controllers, scheduler, kubelet, and the operators whose kinds the portal uses.

What a test can say, on the cluster's loop (`Simulator.call`):
- pods: annotations `test.kubelet/state|ready-after|terminate-after|restarts|log` and rules (`kubelet.rules.Rule`);
  `logs.write(namespace, pod, text)`; `simulator/engine: http://127.0.0.1:PORT` is the real server behind a pod;
- nodes: the annotation `test.kubelet/down: "true"`;
- KEDA: `operators["keda"].set_metric(namespace, name, value)`; HyperPod: the attributes of
  `operators["hyperpod"]`, and its `wake`;
- gateways: a GatewayClass whose controllerName is `operators.gateways.CONTROLLER`; its Gateways listen at the URL in
  their annotation `simulator/address`, on the port of their first listener if that is free.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .admission import Admission
from .base import Object
from .connect import Connector
from .deployments import Deployments
from .disruption import DisruptionBudgets
from .garbage import GarbageCollector
from .hands import Hands
from .jobs import Jobs
from .kubelet import Kubelet, Logs, Rules
from .lookups import Pods
from .namespaces import Namespaces
from .nodes import Nodes, cpu_node, gpu_node
from .operators import OPERATORS
from .quota import LimitRanges, Quotas
from .replicasets import ReplicaSets
from .scheduler import Scheduler
from .services import Services
from .statefulsets import StatefulSets
from .volumes import Volumes

if TYPE_CHECKING:
    from tests.simulators.kubernetes.cluster import Cluster

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
STANDARD_CLASS = {
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/host-path",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "Immediate",
}
__all__ = ["OPERATORS", "Controllers", "cpu_node", "gpu_node"]


class Controllers:
    """All of them, over one cluster; the parts that a test talks to are its attributes."""

    def __init__(
        self, cluster: Cluster, *, ca_pem: str = "", operators: Iterable[str] = OPERATORS, engine_url: str | None = None
    ) -> None:
        hands = self.hands = Hands(cluster, ca_pem)
        pods = self.pods = Pods(hands)
        self.rules = Rules()
        self.admission = Admission(hands)
        quotas = Quotas(hands)
        cluster.mutating += [*self.admission.hooks, LimitRanges(hands).admit]
        cluster.admission += [self.admission.generated_namespace, quotas.admit]
        self.garbage = GarbageCollector(hands)
        self.namespaces = Namespaces(hands)
        self.scheduler = Scheduler(hands, pods, self.rules)
        self.kubelet = Kubelet(hands, pods, self.rules)
        self.logs = Logs(hands, self.rules)
        self.kubelet.stopped = self.logs.ended
        self.nodes = Nodes(hands, pods, self.kubelet.node_back)
        self.services = Services(hands, pods)
        self.volumes = Volumes(hands, pods, self.rules)
        self.statefulsets = StatefulSets(hands, pods)
        self.replicasets = ReplicaSets(hands, pods)
        self.deployments = Deployments(hands)
        self.jobs = Jobs(hands, pods)
        self.budgets = DisruptionBudgets(hands, pods)
        self.connector = cluster.connector = Connector(self, engine_url)
        self.operators: dict[str, Any] = {name: OPERATORS[name](self) for name in operators}
        if "leaderworkerset" in self.operators:
            cluster.mutating.append(self.operators["leaderworkerset"].complete)
        if "hyperpod" in self.operators:
            cluster.mutating.append(self.operators["hyperpod"].admit)

    def close(self) -> None:
        """Gives up the ports that gateways listen on, and the connections to engines. For the cluster's loop."""
        self.connector.upstream.close()
        if "gateway" in self.operators:
            for listener in self.operators["gateway"].listeners.values():
                listener.close()

    def furnish(self, nodes: Iterable[Object]) -> None:
        """What a cluster has when it is new: its namespaces, a default StorageClass, and these nodes."""
        for name in NAMESPACES:
            self.hands.create("Namespace", {"metadata": {"name": name}})
        self.hands.create("StorageClass", STANDARD_CLASS)
        for number, node in enumerate(nodes):
            addresses = [{"type": "InternalIP", "address": f"10.0.{number >> 8}.{number & 255 or 1}"}]
            addresses += [each for each in node["status"]["addresses"] if each["type"] != "InternalIP"]
            self.hands.create("Node", {**node, "status": {**node["status"], "addresses": addresses}})
