"""EKS, as far as clients need it to reach a cluster: its address, its CA, and who may come in.

https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeCluster.html . With a Kubernetes simulator behind it, that
simulator takes tokens of this AWS: 401 for one that is not good and for a principal without an access entry.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulators.aws.clock import Clock
from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.identities import Identities
from tests.simulators.aws.messages import Call, Identity, Params
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.world import PerSpot, Spot
from tests.simulators.kubernetes.auth.users import EVERYONE, User
from tests.simulators.kubernetes.server import Simulator

MASTERS = ("system:masters",)


@dataclass(slots=True)
class EksCluster:
    name: str
    arn: str
    account: str
    endpoint: str
    ca_pem: str
    created: float
    status: str = "ACTIVE"
    version: str = "1.33"
    access: dict[str, tuple[str, ...]] | None = None
    """Groups by the ARN of a role or user; None makes everybody of the account an administrator."""
    tokens: list[str] = field(default_factory=list)
    """The distinct tokens that were shown to it."""

    def user(self, identity: Identity) -> User | None:
        """The Kubernetes user of an AWS identity; None where nothing maps it."""
        if self.access is None:
            groups: tuple[str, ...] | None = MASTERS if identity.account == self.account else None
        else:
            groups = self.access.get(principal_of(identity.arn))
        return None if groups is None else User(identity.arn, (*groups, EVERYONE), identity.user_id)


def principal_of(arn: str) -> str:
    """A session of a role has the role's access entry."""
    if ":assumed-role/" not in arn:
        return arn
    start, _, rest = arn.partition(":assumed-role/")
    return f"{start.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"


class Eks:
    def __init__(self, identities: Identities, clock: Clock) -> None:
        self._identities, self._clock = identities, clock
        self.clusters: PerSpot[dict[str, EksCluster]] = PerSpot(lambda _spot: {})
        self._unbind: list[Callable[[], None]] = []

    def add(self, spot: Spot, name: str, endpoint: str, ca_pem: str, kube: Simulator | None = None) -> EksCluster:
        """A cluster; with `kube`, its API takes the tokens of this AWS."""
        cluster = EksCluster(name, spot.arn("eks", f"cluster/{name}"), spot.account, endpoint, ca_pem, self._clock.now())
        self.clusters[spot][name] = cluster
        if kube is not None:
            self._bind(cluster, kube)
        return cluster

    def _bind(self, cluster: EksCluster, kube: Simulator) -> None:
        def who(token: str) -> User | None:
            identity = self._identities.identity_of_token(token, cluster.name)
            if token not in cluster.tokens:
                cluster.tokens.append(token)
            return None if identity is None else cluster.user(identity)

        webhooks = kube.app.authenticator.webhooks
        webhooks.append(who)
        self._unbind.append(lambda: webhooks.remove(who))

    def reset(self) -> None:
        for unbind in self._unbind:
            unbind()
        self._unbind.clear()
        self.clusters.clear()

    def answer(self, call: Call) -> Params | None:
        """None: not played here."""
        clusters = self.clusters[Spot.of(call.identity, call.region)]
        if call.operation == "ListClusters":
            asked = {name[0].upper() + name[1:]: value for name, value in call.params.items()}
            kept, more = page(asked, sorted(clusters), 100)
            return {"clusters": kept, **({"nextToken": more["NextToken"]} if more else {})}
        if call.operation == "DescribeCluster":
            return {"cluster": _described(_found(clusters, call.params["name"]))}
        return None


def _found(clusters: dict[str, EksCluster], name: str) -> EksCluster:
    if name not in clusters:
        raise AwsFault("ResourceNotFoundException", f"No cluster found for name: {name}.", 404)
    return clusters[name]


def _described(cluster: EksCluster) -> Params:
    found = {"name": cluster.name, "arn": cluster.arn, "createdAt": cluster.created, "version": cluster.version,
             "status": cluster.status}  # fmt: skip
    if cluster.status in ("CREATING", "FAILED"):  # no address yet
        return found
    authority = {"data": base64.b64encode(cluster.ca_pem.encode()).decode()}
    return {**found, "endpoint": cluster.endpoint, "certificateAuthority": authority}
