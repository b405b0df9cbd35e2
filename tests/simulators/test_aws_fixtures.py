"""The rows that tests/aws.py makes meet the simulator."""

from __future__ import annotations

import socket

import pytest
from django.conf import settings

from clusters.drivers.aws import aws_for
from clusters.drivers.aws_errors import AwsError, AwsProblem
from clusters.models import AwsAccount
from clusters.states import ClusterKind, SignIn, Through
from tests.aws import make_aws_account, make_hyperpod_place, make_sagemaker_place
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator


@pytest.mark.django_db
def test_places_are_made_with_their_accounts(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    assert aws_sim.url == settings.PORTAL_AWS_ENDPOINT
    place = make_hyperpod_place(aws_sim, hyperpod_kube)
    assert (place.kind, place.access.through, place.access.server) == (ClusterKind.HYPERPOD, Through.EKS, hyperpod_kube.url)
    assert place.aws.instance_groups[0]["CurrentCount"] == 2
    assert place.aws.account.secret("secret_access_key") == aws_sim.keys.secret_access_key
    found = aws_sim.client("sagemaker").describe_cluster(ClusterName=place.aws.hyperpod_name)
    assert (found["ClusterArn"], found["TieredStorageConfig"]["Mode"]) == (place.aws.hyperpod_arn, "Enable")
    assert make_sagemaker_place(aws_sim).aws.region == "us-east-1"


@pytest.mark.django_db
def test_an_account_may_sign_in_by_a_role(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim, sign_in=SignIn.ROLE, external_id="tenant-1")
    got = aws_sim.client("sts").assume_role(RoleArn=account.role_arn, RoleSessionName="portal", ExternalId="tenant-1")
    assert got["AssumedRoleUser"]["Arn"].endswith(":assumed-role/inference-portal/portal")


def test_each_test_starts_with_nothing(aws_sim: AwsSimulator) -> None:
    assert aws_sim.requests == []
    assert aws_sim.client("sagemaker").list_clusters()["ClusterSummaries"] == []


@pytest.mark.parametrize("host", [
    "sts.us-west-2.amazonaws.com", "eks.cn-north-1.amazonaws.com.cn", "s3.dualstack.us-east-1.amazonaws.com."])
def test_no_test_finds_an_address_of_the_real_aws(host: str) -> None:
    with pytest.raises(socket.gaierror, match="tests reach no AWS"):
        socket.create_connection((host, 443), timeout=1)


@pytest.mark.django_db
def test_the_portals_own_door_stays_shut_without_the_simulator() -> None:
    account = AwsAccount(name="real", region="us-west-2", sign_in=SignIn.KEYS, access_key_id="AKIAOFNOBODY00000000")
    account.put_secret("secret_access_key", "x" * 40)
    account.save()
    with pytest.raises(AwsError) as caught:
        aws_for(account).whoami()
    assert caught.value.problem is AwsProblem.UNREACHABLE
