"""Engines in a cluster of EKS: the gateway comes in with a bearer that it makes, and that nobody else sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

from clusters.drivers import kube
from clusters.models import AwsPlace, KubernetesAccess
from clusters.states import Through
from endpoints import services
from endpoints.models import Backend, Endpoint
from tests.aws import make_aws_account
from tests.clusters.agent_rig import until
from tests.gateway.server import Server, Tenant, running_server
from tests.gateway.test_kubernetes_reach import HELLO, call, deployed
from tests.simulators.aws.eks import EksCluster
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator, cpu_node
from tests.simulators.openai_backend import OpenAIBackend


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_portal: Path, aws_server: AwsSimulator) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("eks"), empty_portal, PORTAL_AWS_ENDPOINT=aws_server.url) as running:
        yield running


@pytest.fixture(scope="module")
def backend() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.fixture(scope="module")
def sim(backend: OpenAIBackend) -> Iterator[Simulator]:
    with Simulator([cpu_node("cpu-a")], engine_url=backend.url) as running:
        yield running


def by_eks(tenant: Tenant, sim: Simulator, aws_sim: AwsSimulator, name: str) -> tuple[Endpoint, EksCluster]:
    """An endpoint that serves; its place is then reached as one of EKS.

    It gets another name then, by which a test knows that the gateway has read the new address.
    """
    endpoint = deployed(tenant, sim, name)
    place, eks = endpoint.cluster, aws_sim.add_eks(f"{name}-eks", kube=sim)
    AwsPlace.objects.create(cluster=place, account=make_aws_account(aws_sim, name), region="us-east-1", eks_name=eks.name)
    access = KubernetesAccess.objects.get(cluster=place)
    access.through = Through.EKS
    access.put_secret("token", "")
    access.save()
    kube.forget(place)

    def is_written() -> bool:
        services.reconcile(endpoint.pk)
        return Backend.objects.get(endpoint=endpoint).url.startswith("eks+https://")

    until(is_written, what=lambda: Endpoint.objects.get(pk=endpoint.pk).message)
    Endpoint.objects.filter(pk=endpoint.pk).update(public_name=f"{name}-eks", public_key=f"{name}-eks")
    return endpoint, eks


def test_answers_and_streams_come_with_one_bearer_that_stays_at_the_door(
    make: Callable[[], Tenant], sim: Simulator, aws_sim: AwsSimulator, backend: OpenAIBackend,
) -> None:
    tenant = make()
    endpoint, eks = by_eks(tenant, sim, aws_sim, "in")
    row = Backend.objects.get(endpoint=endpoint)
    assert (row.secret("token"), row.ca) == ("", sim.ca_pem)
    before = len(backend.requests)
    for _ in range(3):
        call(tenant, "in-eks")
    assert len(backend.requests) == before + 6
    made = set(eks.tokens)
    assert len(made) <= 2, "one of the keeper and one of the gateway, which are alike if they are of the same second"
    assert all(seen.header("authorization") is None for seen in backend.requests), "the bearer stays with the API server"
    assert not any(token in tenant.server.log for token in made)


def test_a_bearer_that_is_refused_is_replaced_before_the_caller_notices(
    make: Callable[[], Tenant], sim: Simulator, aws_sim: AwsSimulator, backend: OpenAIBackend,
) -> None:
    tenant = make()
    by_eks(tenant, sim, aws_sim, "refused-once")
    call(tenant, "refused-once-eks")
    refusing = sim.fault(method="POST", path="*/proxy/*", status=401, times=1)
    before = len(backend.requests)
    answer = tenant.clients[-1].chat.completions.create(model="refused-once-eks", messages=HELLO)
    refusing.remove()
    assert answer.choices
    assert len(backend.requests) == before + 1


def test_an_account_without_an_access_entry_is_an_error_of_ours_and_makes_no_storm(
    make: Callable[[], Tenant], sim: Simulator, aws_sim: AwsSimulator,
) -> None:
    tenant = make()
    _endpoint, eks = by_eks(tenant, sim, aws_sim, "no-entry")
    client = tenant.wait_for("no-entry-eks")
    client.chat.completions.create(model="no-entry-eks", messages=HELLO)
    eks.access = {}
    before = len(eks.tokens)
    for _ in range(5):
        with pytest.raises(openai.InternalServerError, match="refused the portal") as refusal:
            client.chat.completions.create(model="no-entry-eks", messages=HELLO)
        assert refusal.value.status_code == 502
    assert len(eks.tokens) <= before + 1
