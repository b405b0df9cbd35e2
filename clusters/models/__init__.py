from .access import KubernetesAccess
from .aws import AwsAccount, AwsAccountQuerySet, AwsPlace
from .engine import Claim, Engine, EngineQuerySet
from .host import AgentNonce, EnrolmentToken, Host
from .place import Accelerator, Cluster, ClusterQuerySet, Node
from .relay import ApiCall, ClusterAgent

__all__ = [
    "Accelerator", "AgentNonce", "ApiCall", "AwsAccount", "AwsAccountQuerySet", "AwsPlace", "Claim", "Cluster",
    "ClusterAgent", "ClusterQuerySet", "Engine", "EngineQuerySet", "EnrolmentToken", "Host", "KubernetesAccess", "Node",
]
