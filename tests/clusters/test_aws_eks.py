"""Kubernetes over EKS: the API is the simulated cluster's, which asks the simulated AWS whose token it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from django.utils import timezone

from clusters.drivers import aws as door
from clusters.drivers.aws import AwsError, AwsProblem
from clusters.drivers.eks import bearer_for
from clusters.drivers.kinds import NODE
from clusters.drivers.kube import KubeError, Problem, forget, kube_for
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import SignIn
from tests.aws import make_aws_account, make_hyperpod_place
from tests.clusters.scripted_api import Asked, Said, Scripted
from tests.simulators.aws.eks import EksCluster
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.aws.world import Spot
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db


class Named(msgspec.Struct):
    metadata: dict[str, object]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    yield
    for kept in list(door._kept.values()):
        kept.aws.close()
    door._kept.clear()


@pytest.fixture
def place(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> Iterator[Cluster]:
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, external_id="portal-7")
    made = make_hyperpod_place(aws_sim, hyperpod_kube, account=account)
    yield made
    forget(made)


def eks_of(sim: AwsSimulator, place: Cluster) -> EksCluster:
    side = AwsPlace.objects.get(cluster=place)
    return sim.eks.clusters[Spot("123456789012", side.region, "aws")][side.eks_name]


def test_many_calls_show_one_token(aws_sim: AwsSimulator, place: Cluster) -> None:
    for _turn in range(10):
        kube_for(place).list(NODE, Named)
    eks = eks_of(aws_sim, place)
    assert len(eks.tokens) == 1
    assert kube_for(place).whoami().startswith("arn:aws:sts::123456789012:assumed-role/inference-portal/")
    assert len(aws_sim.calls("sts:AssumeRole")) == 1


def test_a_refused_token_is_made_anew_with_a_new_session(
    aws_sim: AwsSimulator, place: Cluster, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "ANEW_SECONDS", 0.0)
    kube_for(place).list(NODE, Named)
    aws_sim.identities.expire_sessions()
    kube_for(place).list(NODE, Named)
    assert len(eks_of(aws_sim, place).tokens) == 2
    assert len(aws_sim.calls("sts:AssumeRole")) == 2


def test_a_cluster_that_refuses_everything_does_not_make_us_hammer_aws(aws_sim: AwsSimulator, place: Cluster) -> None:
    with Scripted(lambda _asked: Said(401, {"kind": "Status", "code": 401})) as api:
        access = place.access
        access.server, access.ca = api.url, api.authority.pem
        access.save()
        for _turn in range(5):
            with pytest.raises(KubeError):
                kube_for(place).list(NODE, Named)
        assert len(api.asked) <= 6  # the call, once more, and then the breaker's
    assert len(aws_sim.calls("sts:AssumeRole")) == 1


def test_whoever_nothing_maps_stays_out_and_is_told_so(aws_sim: AwsSimulator, place: Cluster) -> None:
    eks = eks_of(aws_sim, place)
    eks.access = {}
    with pytest.raises(KubeError) as caught:
        kube_for(place).list(NODE, Named)
    assert caught.value.problem is Problem.AUTH
    assert len(eks.tokens) <= 2
    eks.access = {"arn:aws:iam::123456789012:role/inference-portal": ("system:masters",)}
    forget(place)
    kube_for(place).list(NODE, Named)


@pytest.mark.parametrize(("fault", "problem"), [("throttle", Problem.BUSY), ("refuse", Problem.AUTH)])
def test_trouble_with_aws_is_trouble_of_the_cluster(
    aws_sim: AwsSimulator, place: Cluster, fault: str, problem: Problem,
) -> None:
    if fault == "throttle":
        aws_sim.faults.throttle(operations=("sts:AssumeRole",))
    else:
        aws_sim.faults.refuse("sts:AssumeRole")
    with pytest.raises(KubeError) as caught:
        kube_for(place).list(NODE, Named)
    assert caught.value.problem is problem
    assert caught.value.is_of_the_cluster


def test_another_way_into_the_account_is_another_road(aws_sim: AwsSimulator, place: Cluster) -> None:
    first = kube_for(place)
    assert kube_for(place) is first
    account = AwsAccount.objects.get(places__cluster=place)
    account.sign_in, account.role_arn, account.external_id = SignIn.KEYS, "", ""
    account.save()
    assert kube_for(place) is not first
    assert kube_for(place).whoami() == "arn:aws:iam::123456789012:user/portal"


def test_a_place_without_its_eks_cluster_says_so(aws_sim: AwsSimulator, place: Cluster) -> None:
    AwsPlace.objects.filter(cluster=place).update(eks_name="")
    with pytest.raises(KubeError) as caught:
        kube_for(place).list(NODE, Named)
    assert "EKS" in caught.value.message


def test_the_gateways_bearer_is_the_same_and_says_when_to_renew_it(aws_sim: AwsSimulator, place: Cluster) -> None:
    bearer = bearer_for(place.uid)
    assert timedelta(minutes=9) < bearer.renew_at - timezone.now() <= timedelta(minutes=10)
    assert bearer_for(place.uid) == bearer
    assert bearer.token not in repr(bearer)
    kube_for(place).list(NODE, Named)
    assert eks_of(aws_sim, place).tokens == [bearer.token]
    assert bearer_for(place.uid, fresh=True).renew_at > bearer.renew_at


def test_no_bearer_for_a_place_that_is_gone(aws_sim: AwsSimulator, place: Cluster) -> None:
    uid = place.uid
    AwsPlace.objects.all().delete()
    with pytest.raises(AwsError) as caught:
        bearer_for(uid)
    assert caught.value.problem is AwsProblem.NOT_FOUND


def test_a_redirect_takes_the_token_nowhere(aws_sim: AwsSimulator, place: Cluster) -> None:
    with Scripted(lambda asked: Said(body={"items": []})) as thief:
        def send_away(asked: Asked) -> Said:
            return Said(307, headers={"location": f"{thief.url}{asked.path}"})

        with Scripted(send_away) as api:
            access = place.access
            access.server, access.ca = api.url, api.authority.pem
            access.save()
            with pytest.raises(KubeError):
                kube_for(place).list(NODE, Named)
            assert api.asked[0].headers.get("authorization", api.asked[0].headers.get("Authorization", "")).startswith(
                "Bearer k8s-aws-v1.")
        assert thief.asked == []


def test_aws_sees_no_bearer_and_the_cluster_no_key(aws_sim: AwsSimulator, place: Cluster) -> None:
    """Keys sign requests to AWS, bearers go to the cluster they were made for, and neither goes anywhere else."""
    with Scripted(lambda asked: Said(body={"items": []})) as api:
        access = place.access
        access.server, access.ca = api.url, api.authority.pem
        access.save()
        kube_for(place).list(NODE, Named)
        shown = " ".join(f"{one.path} {one.headers} {one.body!r}" for one in api.asked)
    made = door.aws_for(AwsAccount.objects.get(places__cluster=place)).credentials()
    secrets = [aws_sim.keys.secret_access_key, made.secret_access_key]
    assert not [secret for secret in secrets if secret in shown]
    assert "k8s-aws-v1." in shown
    assert {seen.host for seen in aws_sim.requests} == {aws_sim.url.partition("://")[2]}
    assert {seen.access_key_id for seen in aws_sim.requests} == {aws_sim.keys.access_key_id}
