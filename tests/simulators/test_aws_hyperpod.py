"""HyperPod clusters and EKS in the simulator: boto3 on one side, the official Kubernetes client on the other."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.hooks import HierarchicalEmitter
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from kubernetes import client as kubernetes
from kubernetes.client.exceptions import ApiException

from tests.simulators.aws.identities import Keys
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator


def token_for(sim: AwsSimulator, keys: Keys, eks_name: str, host: str = "sts.us-east-1.amazonaws.com") -> str:
    """As aws-cli makes them: facts.md 1.14."""
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token or None)
    emitter = HierarchicalEmitter()  # the signer keeps it weakly
    signer = RequestSigner(ServiceId("sts"), "us-east-1", "sts", "v4", credentials, emitter)
    url = signer.generate_presigned_url(
        {"method": "GET", "url": f"https://{host}/?Action=GetCallerIdentity&Version=2011-06-15", "body": {},
         "headers": {"x-k8s-aws-id": eks_name}, "context": {}},
        region_name="us-east-1", expires_in=60, operation_name="")  # fmt: skip
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).rstrip(b"=").decode()


@pytest.fixture
def client(aws_sim: AwsSimulator) -> Any:
    aws_sim.clock.freeze()
    return aws_sim.client("sagemaker")


@pytest.fixture
def nodes_seen(aws_sim: AwsSimulator, hyperpod_kube: Simulator, tmp_path: Path) -> Callable[[str], list[str]]:
    """The names of the nodes that a token lets somebody see, through the address and the CA that EKS tells."""

    def look(token: str, eks_name: str = "pod-eks") -> list[str]:
        found = aws_sim.client("eks").describe_cluster(name=eks_name)["cluster"]
        ca = tmp_path / "ca.pem"
        ca.write_bytes(base64.b64decode(found["certificateAuthority"]["data"]))
        config = kubernetes.Configuration(host=found["endpoint"])
        config.ssl_ca_cert = str(ca)
        config.api_key = {"authorization": f"Bearer {token}", "BearerToken": f"Bearer {token}"}
        with kubernetes.ApiClient(config) as api:
            return [node.metadata.name for node in kubernetes.CoreV1Api(api).list_node().items]

    return look


def test_a_cluster_is_described_with_what_moto_leaves_out(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.add_hyperpod("pod", groups={"gpu": ("ml.g5.12xlarge", 2), "cpu": ("ml.m5.xlarge", 1)},
                         TieredStorageConfig={"Mode": "Enable", "InstanceMemoryAllocationPercentage": 40},
                         NodeProvisioningMode="Continuous", AutoScaling={"Mode": "Disable", "Status": "InService"})  # fmt: skip
    found = client.describe_cluster(ClusterName="pod")
    assert found["Orchestrator"]["Eks"]["ClusterArn"] == "arn:aws:eks:us-east-1:123456789012:cluster/pod-eks"
    assert (found["ClusterStatus"], found["NodeRecovery"], found["NodeProvisioningMode"]) == (
        "InService", "Automatic", "Continuous")
    groups = {group["InstanceGroupName"]: group for group in found["InstanceGroups"]}
    assert (groups["gpu"]["CurrentCount"], groups["gpu"]["TargetCount"], groups["gpu"]["Status"]) == (2, 2, "InService")
    assert client.describe_cluster(ClusterName=found["ClusterArn"])["ClusterName"] == "pod"
    assert client.list_clusters()["ClusterSummaries"][0]["ClusterStatus"] == "InService"
    with pytest.raises(ClientError) as caught:
        client.describe_cluster(ClusterName="other")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFound"


def test_nodes_come_in_pages_and_one_by_one(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.add_hyperpod("pod", groups={"gpu": ("ml.g5.12xlarge", 7), "cpu": ("ml.m5.xlarge", 5)})
    first = client.list_cluster_nodes(ClusterName="pod", MaxResults=10)
    rest = client.list_cluster_nodes(ClusterName="pod", MaxResults=10, NextToken=first["NextToken"])
    ids = [node["InstanceId"] for each in (first, rest) for node in each["ClusterNodeSummaries"]]
    assert len(set(ids)) == 12
    assert len(client.list_cluster_nodes(ClusterName="pod", InstanceGroupNameContains="cp")["ClusterNodeSummaries"]) == 5
    node = client.describe_cluster_node(ClusterName="pod", NodeId=ids[0])["NodeDetails"]
    assert (node["InstanceId"], node["InstanceStatus"]["Status"]) == (ids[0], "Running")


def test_a_group_grows_and_shrinks_in_its_time(aws_sim: AwsSimulator, client: Any) -> None:
    aws_sim.add_hyperpod("pod", groups={"gpu": ("ml.g5.12xlarge", 2)})
    group = client.describe_cluster(ClusterName="pod")["InstanceGroups"][0]
    asked = {"InstanceGroupName": "gpu", "InstanceType": group["InstanceType"], "InstanceCount": 3,
             "ExecutionRole": group["ExecutionRole"], "LifeCycleConfig": group["LifeCycleConfig"]}  # fmt: skip
    client.update_cluster(ClusterName="pod", InstanceGroups=[asked])
    during = client.describe_cluster(ClusterName="pod")
    assert (during["ClusterStatus"], during["InstanceGroups"][0]["CurrentCount"]) == ("Updating", 2)
    with pytest.raises(ClientError, match="ConflictException"):
        client.update_cluster(ClusterName="pod", InstanceGroups=[asked])
    aws_sim.clock.advance(60)
    after = client.describe_cluster(ClusterName="pod")
    assert (after["ClusterStatus"], after["InstanceGroups"][0]["CurrentCount"]) == ("InService", 3)
    aws_sim.sagemaker.fail("pod", on="cluster", reason="no capacity")
    client.update_cluster(ClusterName="pod", InstanceGroups=[{**asked, "InstanceCount": 9}])
    aws_sim.clock.advance(60)
    after = client.describe_cluster(ClusterName="pod")
    assert (after["ClusterStatus"], after["FailureMessage"]) == ("InService", "no capacity")
    assert after["InstanceGroups"][0]["TargetCount"] == 3


def test_nodes_are_rebooted_replaced_deleted_and_added(aws_sim: AwsSimulator, client: Any) -> None:
    cluster = aws_sim.add_hyperpod("pod", groups={"gpu": ("ml.g5.12xlarge", 3)}, NodeProvisioningMode="Continuous")
    one, two, three = cluster.nodes
    done = client.batch_reboot_cluster_nodes(ClusterName="pod", NodeIds=[one, "i-00000000000000000"])
    assert done["Successful"] == [one]
    assert done["Failed"][0]["ErrorCode"] == "InstanceIdNotFound"
    assert client.describe_cluster_node(ClusterName="pod", NodeId=one)["NodeDetails"]["InstanceStatus"]["Status"] == "Pending"
    client.batch_replace_cluster_nodes(ClusterName="pod", NodeIds=[two])
    deleted = client.batch_delete_cluster_nodes(ClusterName="pod", NodeIds=[three, one])
    assert deleted["Failed"][0]["Code"] == "InvalidNodeStatus"
    aws_sim.clock.advance(60)
    left = {node["InstanceId"]: node for node in client.list_cluster_nodes(ClusterName="pod")["ClusterNodeSummaries"]}
    assert len(left) == 2
    assert left.keys() & {one, two, three} == {one}
    assert {node["InstanceStatus"]["Status"] for node in left.values()} == {"Running"}
    added = client.batch_add_cluster_nodes(
        ClusterName="pod", NodesToAdd=[{"InstanceGroupName": "gpu", "IncrementTargetCountBy": 2},
                                       {"InstanceGroupName": "none", "IncrementTargetCountBy": 1}])  # fmt: skip
    assert (len(added["Successful"]), added["Failed"][0]["ErrorCode"]) == (2, "InstanceGroupNotFound")
    aws_sim.clock.advance(60)
    assert len(client.list_cluster_nodes(ClusterName="pod")["ClusterNodeSummaries"]) == 4


def test_nodes_are_those_of_kubernetes_and_go_there_too(aws_sim: AwsSimulator, client: Any) -> None:
    with Simulator(nodes=[]) as kube:
        cluster = aws_sim.add_hyperpod("pod", kube=kube, groups={"gpu": ("ml.g5.12xlarge", 2)})

        def names() -> set[str]:
            return {node["metadata"]["name"] for node in kube.call(kube.cluster.list, "Node")}

        assert names() == {f"hyperpod-{instance}" for instance in cluster.nodes}
        before = list(cluster.nodes)
        client.batch_replace_cluster_nodes(ClusterName="pod", NodeIds=before[:1])
        aws_sim.clock.advance(60)
        listed = client.list_cluster_nodes(ClusterName="pod")["ClusterNodeSummaries"]
        assert names() == {f"hyperpod-{node['InstanceId']}" for node in listed}
        assert f"hyperpod-{before[0]}" not in names()
        aws_sim.eks.reset()


def test_a_token_of_aws_opens_the_cluster(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, nodes_seen: Callable[[str], list[str]]
) -> None:
    aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    assert nodes_seen(token_for(aws_sim, aws_sim.keys, "pod-eks")) == [
        "hyperpod-i-0123456789abcdef0", "hyperpod-i-0123456789abcdef1"]
    here = aws_sim.url.removeprefix("http://")
    assert nodes_seen(token_for(aws_sim, aws_sim.keys, "pod-eks", here))


def test_a_role_comes_in_by_its_access_entry(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, nodes_seen: Callable[[str], list[str]]
) -> None:
    aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    role = aws_sim.identities.add_role("portal", external_id="x")
    keys = aws_sim.identities.assume(aws_sim.keys.identity, role.arn, "session", "x", 900)
    eks = next(iter(aws_sim.eks.clusters.values()))["pod-eks"]
    eks.access = {}
    with pytest.raises(ApiException) as caught:
        nodes_seen(token_for(aws_sim, keys, "pod-eks"))
    assert caught.value.status == 401
    eks.access = {role.arn: ()}
    with pytest.raises(ApiException) as caught:
        nodes_seen(token_for(aws_sim, keys, "pod-eks"))
    assert caught.value.status == 403
    eks.access = {role.arn: ("system:masters",)}
    assert nodes_seen(token_for(aws_sim, keys, "pod-eks"))


@pytest.mark.parametrize(("instance_type", "gpus"), [
    ("ml.g5.2xlarge", 1), ("ml.g5.12xlarge", 4), ("ml.g6e.48xlarge", 8), ("ml.p5.4xlarge", 1), ("ml.p4d.24xlarge", 8),
    ("ml.m5.xlarge", 0),
])  # fmt: skip
def test_nodes_have_the_gpus_of_their_type(instance_type: str, gpus: int) -> None:
    node = hyperpod_node("i-1", "group", instance_type, resources={"nvidia.com/mig-1g.5gb": "7"})
    assert int(node["status"]["allocatable"].get("nvidia.com/gpu", 0)) == gpus
    assert node["status"]["capacity"]["nvidia.com/mig-1g.5gb"] == "7"
    assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == instance_type


def test_bad_tokens_are_nobodys(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, nodes_seen: Callable[[str], list[str]]
) -> None:
    aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    stranger = aws_sim.identities.add_user("stranger", "210987654321")
    good = token_for(aws_sim, aws_sim.keys, "pod-eks")
    bad = {
        "of another cluster": token_for(aws_sim, aws_sim.keys, "other"),
        "of another account": token_for(aws_sim, stranger, "pod-eks"),
        "of another host": token_for(aws_sim, aws_sim.keys, "pod-eks", "sts.us-east-1.example.com"),
        "changed": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "without its mark": good.removeprefix("k8s-aws-v1."),
        "nonsense": "k8s-aws-v1.####",
    }  # fmt: skip
    for what, token in bad.items():
        with pytest.raises(ApiException) as caught:
            nodes_seen(token)
        assert caught.value.status == 401, what


def test_a_token_ends_after_a_quarter_of_an_hour_and_with_its_key(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, nodes_seen: Callable[[str], list[str]]
) -> None:
    aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    token = token_for(aws_sim, aws_sim.keys, "pod-eks")
    assert aws_sim.identities.identity_of_token(token, "pod-eks") is not None
    aws_sim.identities.clock.advance(14 * 60)
    assert aws_sim.identities.identity_of_token(token, "pod-eks") is not None
    aws_sim.identities.clock.advance(2 * 60)
    assert aws_sim.identities.identity_of_token(token, "pod-eks") is None
    aws_sim.identities.clock.reset()
    assert nodes_seen(token)
    aws_sim.identities.remove(aws_sim.keys.access_key_id)
    assert aws_sim.identities.identity_of_token(token, "pod-eks") is None


def test_eks_lists_and_describes(aws_sim: AwsSimulator) -> None:
    eks = aws_sim.client("eks")
    aws_sim.add_eks("one")
    aws_sim.add_eks("two").status = "CREATING"
    assert eks.list_clusters()["clusters"] == ["one", "two"]
    assert eks.describe_cluster(name="one")["cluster"]["createdAt"].timestamp() == pytest.approx(time.time(), abs=60)
    assert "endpoint" not in eks.describe_cluster(name="two")["cluster"]
    with pytest.raises(ClientError) as caught:
        eks.describe_cluster(name="three")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
