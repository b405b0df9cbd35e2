from .access import KubernetesAccess
from .engine import Claim, Engine, EngineQuerySet
from .host import AgentNonce, EnrolmentToken, Host
from .place import Accelerator, Cluster, ClusterQuerySet, Node

__all__ = [
    "Accelerator", "AgentNonce", "Claim", "Cluster", "ClusterQuerySet", "Engine", "EngineQuerySet", "EnrolmentToken",
    "Host", "KubernetesAccess", "Node",
]
