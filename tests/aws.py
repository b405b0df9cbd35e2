"""Accounts and places in AWS over the simulator: `aws_sim` is new for each test, its server lasts for a session.

Importing boto3 takes a while; this file needs none of it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django import Settings

from clusters.drivers import kube
from clusters.models import AwsAccount, AwsPlace, Cluster, KubernetesAccess
from clusters.states import ClusterKind, SignIn, Through
from tests.simulators.aws.identities import ACCOUNT
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.aws.sagemaker.hyperpod import HyperPod
from tests.simulators.aws.server import REGION, AwsSimulator
from tests.simulators.kubernetes.server import Simulator

EXECUTION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/endpoints"
BUCKET = "portal-endpoints"


REAL = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".aws.amazon.com")


@pytest.fixture(autouse=True, scope="session")
def no_real_aws() -> Iterator[None]:
    """A test that forgets `aws_sim` finds no address of AWS, whatever this machine may sign in with."""
    resolve = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name.lower().rstrip(".").endswith(REAL):
            raise socket.gaierror(socket.EAI_FAIL, f"tests reach no AWS: {name}")
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", guarded)
        yield


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsSimulator]:
    """The server itself; tests use `aws_sim`."""
    with AwsSimulator() as sim:
        yield sim


@pytest.fixture
def aws_sim(aws_server: AwsSimulator, settings: Settings) -> Iterator[AwsSimulator]:
    """AWS with one account and nothing in it; the portal's calls go there. Fails when the simulator itself broke."""
    aws_server.reset()
    settings.PORTAL_AWS_ENDPOINT = aws_server.url
    yield aws_server
    assert aws_server.broken == []


@pytest.fixture(scope="session")
def hyperpod_kube() -> Iterator[Simulator]:
    """The Kubernetes side of a HyperPod cluster: two nodes with 4 GPUs each; shared, so use namespaces of your own."""
    nodes = [hyperpod_node(f"i-0123456789abcdef{number}") for number in range(2)]
    with Simulator(nodes=nodes) as sim:
        yield sim


def make_aws_account(sim: AwsSimulator, name: str = "aws", **values: Any) -> AwsAccount:
    """An account that signs in with the simulator's default keys.

    With sign_in=SignIn.ROLE the role is made in the simulator too, with the external id that is given, and the keys are
    those of the caller who assumes it.
    """
    keys = values.pop("keys", sim.keys)
    account = AwsAccount(**{"name": name, "region": REGION, "sign_in": SignIn.KEYS,
                            "access_key_id": keys.access_key_id, **values})  # fmt: skip
    if account.sign_in == SignIn.ROLE and not account.role_arn:
        account.role_arn = sim.identities.add_role("inference-portal", external_id=account.external_id).arn
    account.put_secret("secret_access_key", keys.secret_access_key)
    account.save()
    return account


def make_sagemaker_place(sim: AwsSimulator, name: str = "sagemaker", account: AwsAccount | None = None,
                         **values: Any) -> Cluster:  # fmt: skip
    """A place for SageMaker endpoints; `values` are of its AwsPlace."""
    account = account or make_aws_account(sim, f"{name}-account")
    place = Cluster.objects.create(name=name, kind=ClusterKind.SAGEMAKER)
    AwsPlace.objects.create(cluster=place, account=account, **{
        "region": account.region, "execution_role": EXECUTION_ROLE, "bucket": BUCKET, **values})  # fmt: skip
    return place


def make_hyperpod_place(sim: AwsSimulator, kube_sim: Simulator, name: str = "hyperpod", account: AwsAccount | None = None,
                        cluster: HyperPod | None = None, **values: Any) -> Cluster:  # fmt: skip
    """A place for a HyperPod cluster that `kube_sim` is the EKS side of, reached with tokens of AWS.

    cluster: one that the simulator has already (`sim.add_hyperpod(name, kube=kube_sim, …)`), else it is made here. Its
    nodes are those of `kube_sim` that are named hyperpod-…, as `hyperpod_kube` has them. `values` are of its AwsPlace.
    """
    account = account or make_aws_account(sim, f"{name}-account")
    cluster = cluster or sim.add_hyperpod(name, kube=kube_sim, TieredStorageConfig={"Mode": "Enable"})
    eks_name = cluster.options["Orchestrator"]["Eks"]["ClusterArn"].rpartition("/")[2]
    place = Cluster.objects.create(name=name, kind=ClusterKind.HYPERPOD)
    AwsPlace.objects.create(cluster=place, account=account, **{
        "region": account.region, "hyperpod_arn": cluster.arn, "hyperpod_name": cluster.name, "eks_name": eks_name,
        "status": cluster.status, "instance_groups": list(cluster.groups.values()), "execution_role": EXECUTION_ROLE,
        "features": {"tiered_storage": True, "node_recovery": "Automatic", "provisioning": "", "autoscaling": False},
        "bucket": BUCKET, **values})  # fmt: skip
    KubernetesAccess.objects.create(cluster=place, through=Through.EKS, server=kube_sim.url, ca=kube_sim.ca_pem)
    kube.forget(place)  # pk numbers come again after a roll-back
    return place
