"""Places for SageMaker endpoints: what operators choose, and a test that changes nothing in AWS."""

from __future__ import annotations

from typing import Any

import pytest

from clusters import services
from clusters.models import AwsAccount, AwsPlace, Cluster
from clusters.states import ClusterKind, Reach
from endpoints.models import Endpoint
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, PortalError
from portal.tenancy.models import AuditEntry
from tests.aws import BUCKET, EXECUTION_ROLE, make_aws_account, make_hyperpod_place, make_sagemaker_place
from tests.cast import Cast, make_cluster, make_profile
from tests.portal.world import make_endpoint
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def side_of(place: Cluster) -> AwsPlace:
    return AwsPlace.objects.select_related("account", "cluster").get(cluster=place)


def make(sim: AwsSimulator, **aws: Any) -> Cluster:
    account = aws.pop("account", None) or make_aws_account(sim, f"aws-{Cluster.objects.count()}")
    return services.create_place(PORTAL, name="sm", kind=ClusterKind.SAGEMAKER, aws={"account": account, **aws})


def test_a_place_is_made_with_its_choices(aws_sim: AwsSimulator, cast: Cast) -> None:
    place = services.create_place(
        cast.actor("operator"), name="sm", kind=ClusterKind.SAGEMAKER, aws={
            "account": make_aws_account(aws_sim), "region": " eu-west-1 ", "execution_role": EXECUTION_ROLE,
            "subnets": ["subnet-0abc12345678", "subnet-0abc12345678"], "security_groups": ["sg-0abc12345678"],
            "bucket": BUCKET, "kms_key": "alias/endpoints", "network_isolation": True})
    side = side_of(place)
    assert (side.region, side.subnets, side.network_isolation) == ("eu-west-1", ["subnet-0abc12345678"], True)
    assert aws_sim.requests == []  # making a place asks nobody
    entry = AuditEntry.objects.get(verb="connect to AWS")
    assert (entry.actor, entry.after["account"], entry.after["bucket"]) == (cast.operator, "aws", BUCKET)


@pytest.mark.parametrize(("field", "value"), [
    ("account", None), ("region", "nowhere"), ("region", "us-east-1.evil.example"), ("execution_role", "endpoints"),
    ("execution_role", "arn:aws:iam::12:role/x"), ("bucket", "s3://bucket"), ("bucket", "UPPER"), ("kms_key", "a b"),
    ("subnets", ["subnet-x"]), ("subnets", ["subnet-0abc12345678"] * 2 + ["sg-0abc12345678"]), ("hyperpod_name", "-x"),
    ("security_groups", ["sg-0abc12345678", "../etc"]),
])
def test_what_no_aws_takes_is_refused_with_its_field(aws_sim: AwsSimulator, field: str, value: Any) -> None:
    kind = ClusterKind.HYPERPOD if field == "hyperpod_name" else ClusterKind.SAGEMAKER
    given = {"account": make_aws_account(aws_sim), field: value}
    with pytest.raises(Invalid) as refused:
        services.create_place(PORTAL, name="sm", kind=kind, aws=given)
    assert refused.value.field == field
    assert not Cluster.objects.exists()


def test_subnets_come_with_security_groups(aws_sim: AwsSimulator) -> None:
    with pytest.raises(Invalid) as refused:
        make(aws_sim, subnets=["subnet-0abc12345678"])
    assert refused.value.field == "security_groups"


def test_only_operators_make_one_and_only_where_aws_is(aws_sim: AwsSimulator, cast: Cast) -> None:
    account = make_aws_account(aws_sim)
    with pytest.raises(NotAllowed):
        services.create_place(cast.actor("alice"), name="sm", kind=ClusterKind.SAGEMAKER, aws={"account": account})
    with pytest.raises(Invalid) as refused:
        services.create_place(PORTAL, name="hosts", kind=ClusterKind.HOSTS, aws={"account": account})
    assert refused.value.field == "kind"
    own = make_aws_account(aws_sim, "betas", workspace=cast.beta)
    with pytest.raises(Invalid, match="another workspace"):
        services.create_place(PORTAL, name="sm", kind=ClusterKind.SAGEMAKER, workspace=cast.alpha, aws={"account": own})
    assert not Cluster.objects.exists()
    place = services.create_place(PORTAL, name="sm", kind=ClusterKind.SAGEMAKER, workspace=cast.beta, aws={"account": own})
    for workspace in (cast.alpha, None):  # nor by moving the place afterwards
        with pytest.raises(Invalid, match="another workspace"):
            services.change_place(PORTAL, place, workspace=workspace)


def test_a_change_keeps_what_is_not_sent_and_the_region_where_endpoints_live(aws_sim: AwsSimulator, cast: Cast) -> None:
    place = make(aws_sim, execution_role=EXECUTION_ROLE, bucket=BUCKET)
    services.change_place(PORTAL, place, aws={"region": "eu-west-1"})
    assert (side_of(place).region, side_of(place).bucket) == ("eu-west-1", BUCKET)
    make_endpoint(cast, cast.alpha, make_cluster("hosts"), make_profile(), "chat")
    Endpoint.objects.update(cluster=place)
    with pytest.raises(Conflict, match="endpoints live there"):
        services.change_place(PORTAL, place, aws={"region": "us-west-2"})
    services.change_place(PORTAL, place, aws={"bucket": "", "region": "eu-west-1"})
    assert side_of(place).bucket == ""


def test_endpoints_are_not_moved_to_another_aws_account(aws_sim: AwsSimulator, cast: Cast, hyperpod_kube: Simulator) -> None:
    place, pod = make(aws_sim), make_hyperpod_place(aws_sim, hyperpod_kube, "pod")
    AwsAccount.objects.update(account_id="123456789012")
    again = make_aws_account(aws_sim, "again", account_id="123456789012")
    other = make_aws_account(aws_sim, "other", account_id="999999999999")
    make_endpoint(cast, cast.alpha, make_cluster("hosts"), make_profile(), "chat")
    Endpoint.objects.update(cluster=place)
    untested = make_aws_account(aws_sim, "untested")
    for row in (place, pod):
        services.change_place(PORTAL, row, aws={"account": again})
        for account in (other, untested):
            with pytest.raises(Conflict) as refused:
                services.change_place(PORTAL, row, aws={"account": account})
            assert refused.value.field == "account"
        services.change_place(PORTAL, row, aws={"account": again})
    AwsAccount.objects.filter(pk=again.pk).update(account_id="")
    with pytest.raises(Conflict, match="test it first"):
        services.change_place(PORTAL, place, aws={"account": AwsAccount.objects.get(pk=other.pk)})
    Endpoint.objects.update(cluster=make_cluster("elsewhere"))
    services.change_place(PORTAL, place, aws={"account": other})
    assert side_of(place).account == other


def test_the_test_asks_for_everything_and_changes_nothing(aws_sim: AwsSimulator) -> None:
    aws_sim.client("iam").create_role(RoleName="endpoints", AssumeRolePolicyDocument="{}")
    aws_sim.client("s3").create_bucket(Bucket=BUCKET)
    aws_sim.app.requests.clear()
    place = make_sagemaker_place(aws_sim)
    found = services.check_place(PORTAL, place)
    assert (found.reach, found.message) == (Reach.OK, "")
    assert found.user.startswith("arn:aws:")
    assert {seen.name for seen in aws_sim.requests} == {
        "sts:GetCallerIdentity", "sagemaker:ListEndpoints", "sagemaker:ListEndpointConfigs", "sagemaker:ListModels",
        "s3:HeadBucket", "iam:"}  # the simulator hands IAM on to moto unread: it is GetRole
    side = side_of(place)
    assert (side.reach, side.status_message) == (Reach.OK, "")
    assert side.looked_at is not None


def test_what_is_missing_is_said_in_sentences_and_stays_on_the_page(aws_sim: AwsSimulator) -> None:
    place = make_sagemaker_place(aws_sim, execution_role="arn:aws:iam::999999999999:role/elsewhere", bucket="no-such-bucket")
    found = services.check_place(PORTAL, place)
    assert found.reach == Reach.FORBIDDEN
    assert "another AWS account" in found.message
    assert "bucket:" in found.message
    services.look_at_place(side_of(place))
    assert (side_of(place).reach, side_of(place).status_message) == (Reach.OK, found.message)


def test_a_place_without_a_role_says_so(aws_sim: AwsSimulator) -> None:
    place = make_sagemaker_place(aws_sim, execution_role="", bucket="")
    assert "Give an execution role" in services.check_place(PORTAL, place).message


def test_a_right_to_look_that_is_missing_is_no_fault(aws_sim: AwsSimulator) -> None:
    aws_sim.client("s3").create_bucket(Bucket=BUCKET)
    aws_sim.faults.refuse("iam:")
    assert services.check_place(PORTAL, make_sagemaker_place(aws_sim)).reach == Reach.OK


@pytest.mark.parametrize("right", ["sagemaker:ListEndpoints", "sagemaker:ListModels"])
def test_a_right_that_endpoints_need_is_named(aws_sim: AwsSimulator, right: str) -> None:
    aws_sim.faults.refuse(right)
    place = make_sagemaker_place(aws_sim)
    found = services.check_place(PORTAL, place)
    assert found.reach == Reach.FORBIDDEN
    assert right in found.message
    assert side_of(place).reach == Reach.FORBIDDEN


def test_the_regular_look_costs_one_call_and_heals(aws_sim: AwsSimulator) -> None:
    place = make_sagemaker_place(aws_sim)
    services.look_at_place(side_of(place))
    assert [seen.name for seen in aws_sim.requests] == ["sagemaker:ListEndpoints"]
    aws_sim.faults.drop(times=8)
    services.look_at_place(side_of(place))
    assert side_of(place).reach == Reach.UNREACHABLE
    aws_sim.faults.reset()
    services.refresh_place(PORTAL, place)
    assert side_of(place).reach == Reach.OK


def test_a_place_without_its_aws_side_says_what_to_do(cast: Cast) -> None:
    bare = Cluster.objects.create(name="bare", kind=ClusterKind.SAGEMAKER)
    for ask in (services.check_place, services.refresh_place):
        with pytest.raises(PortalError, match="AWS"):
            ask(PORTAL, bare)


def test_a_place_whose_account_is_gone_is_forgotten_with_its_endpoints(aws_sim: AwsSimulator, cast: Cast) -> None:
    place = make_sagemaker_place(aws_sim)
    row = make_endpoint(cast, cast.alpha, make_cluster("hosts"), make_profile(), "chat")
    Endpoint.objects.update(cluster=place)
    services.look_at_place(side_of(place))
    with pytest.raises(Conflict, match="can be reached"):
        services.forget_place(PORTAL, place)
    aws_sim.faults.fail("InvalidClientTokenId", "The security token is invalid", 403)
    services.look_at_place(side_of(place))
    assert side_of(place).reach == Reach.AUTH_FAILED
    services.forget_place(PORTAL, place)
    assert not Cluster.objects.filter(pk=place.pk).exists()
    assert AuditEntry.objects.get(verb="forget", kind="clusters.cluster").before["orphans"] == [row.external_name]


def test_a_hyperpod_cluster_named_by_hand_is_filled_by_the_next_look(aws_sim: AwsSimulator, hyperpod_kube: Any) -> None:
    cluster = aws_sim.add_hyperpod("by-hand", kube=hyperpod_kube)
    place = services.create_place(PORTAL, name="by-hand", kind=ClusterKind.HYPERPOD, aws={
        "account": make_aws_account(aws_sim), "hyperpod_name": "by-hand"})
    services.look_at_place(side_of(place))
    side = side_of(place)
    assert (side.hyperpod_arn, side.status, side.cluster.access.server) == (cluster.arn, "InService", hyperpod_kube.url)
    with pytest.raises(Invalid):
        services.change_place(PORTAL, place, aws={"hyperpod_name": "another"})
