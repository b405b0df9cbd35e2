"""Machines of HyperPod clusters rebooted and replaced, and their groups resized: once, by operators, with AWS's own answer."""

from __future__ import annotations

from typing import Any

import pytest

from clusters import services
from clusters.drivers.kube import kube_for
from clusters.models import AwsPlace, Cluster, Node
from clusters.namespaces import ENDPOINT_UID
from clusters.services import Repair
from endpoints.models import Endpoint
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, Unavailable
from portal.tenancy.models import AuditEntry
from tests.aws import make_hyperpod_place
from tests.cast import Cast, make_cluster, make_profile
from tests.portal.world import make_endpoint
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.aws.sagemaker.hyperpod import HyperPod
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
FIRST, SECOND = "i-0123456789abcdef0", "i-0123456789abcdef1"
CALLS = {Repair.REBOOT: "sagemaker:BatchRebootClusterNodes", Repair.REPLACE: "sagemaker:BatchReplaceClusterNodes"}


@pytest.fixture
def place(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> Cluster:
    aws_sim.clock.freeze()
    made = make_hyperpod_place(aws_sim, hyperpod_kube)
    services.refresh_inventory(made)
    look(made)
    return made


@pytest.fixture
def pod(aws_sim: AwsSimulator, place: Cluster) -> Any:
    return aws_sim.here().clusters["hyperpod"]


def look(place: Cluster) -> AwsPlace:
    services.look_at_place(AwsPlace.objects.select_related("account", "cluster").get(cluster=place))
    return AwsPlace.objects.get(cluster=place)


def node(place: Cluster, instance: str = FIRST) -> Node:
    return Node.objects.select_related("cluster").get(cluster=place, instance_id=instance)


@pytest.mark.parametrize(("how", "state"), [(Repair.REBOOT, "Pending"), (Repair.REPLACE, "ShuttingDown")])
def test_a_machine_is_repaired_once_with_the_wish_in_the_audit(
    aws_sim: AwsSimulator, place: Cluster, cast: Cast, how: Repair, state: str,
) -> None:
    answers = services.repair(cast.actor("operator"), place, [node(place)], how)
    assert [(one.instance_id, one.problem) for one in answers] == [(FIRST, "")]
    with pytest.raises(Conflict) as refused:  # a second click
        services.repair(cast.actor("operator"), place, [node(place)], how)
    assert refused.value.code == "asked_already"
    assert len(aws_sim.calls(CALLS[how])) == 1
    look(place)
    assert node(place).instance_status == state
    entry = AuditEntry.objects.get(verb=f"{how.value} nodes")
    assert (entry.actor, entry.after) == (cast.operator, {"nodes": {f"hyperpod-{FIRST}": FIRST}})


def test_a_replaced_machine_leaves_and_another_comes(aws_sim: AwsSimulator) -> None:
    with Simulator(nodes=[hyperpod_node("i-0aaaaaaaaaaaaaaaa")]) as kube_sim:
        place = make_hyperpod_place(aws_sim, kube_sim, "own")
        services.refresh_place(PORTAL, place)
        old = node(place, "i-0aaaaaaaaaaaaaaaa")
        services.repair(PORTAL, place, [old], Repair.REPLACE)
        aws_sim.clock.advance(60)
        services.refresh_place(PORTAL, place)
        services.refresh_place(PORTAL, place)
        new = Node.objects.get(cluster=place)
        assert (new.pk != old.pk, new.instance_status, new.ready) == (True, "Running", True)


def test_what_aws_refuses_for_one_machine_is_said_for_that_one(place: Cluster, pod: HyperPod) -> None:
    pod.nodes[SECOND].status = "SystemUpdating"
    answers = services.repair(PORTAL, place, [node(place), node(place, SECOND)], Repair.REBOOT)
    assert [bool(one.problem) for one in answers] == [False, True]
    assert "present state" in answers[1].problem
    assert (node(place).instance_status, node(place, SECOND).instance_status) == ("RebootRequested", "Running")
    assert "present state" in AuditEntry.objects.get(verb="reboot nodes refused").after["message"]


@pytest.mark.parametrize(("break_it", "error"), [
    (lambda faults: faults.refuse("sagemaker:BatchRebootClusterNodes"), Conflict),
    (lambda faults: faults.throttle(), Unavailable), (lambda faults: faults.drop(), Unavailable)])
def test_a_call_that_fails_leaves_the_machine_free_for_the_next(
    aws_sim: AwsSimulator, place: Cluster, break_it: Any, error: type[Exception],
) -> None:
    break_it(aws_sim.faults)
    with pytest.raises(error):
        services.repair(PORTAL, place, [node(place)], Repair.REBOOT)
    assert node(place).instance_status == "Running"
    assert set(AuditEntry.objects.filter(verb__startswith="reboot").values_list("verb", flat=True)) == {
        "reboot nodes", "reboot nodes refused"}


def test_who_may_not_and_what_is_no_machine_is_refused_before_aws_is_asked(
    aws_sim: AwsSimulator, place: Cluster, cast: Cast,
) -> None:
    hosts = make_cluster("hosts")
    stranger = Node.objects.create(cluster=hosts, name="host-1")
    aws_sim.app.requests.clear()
    with pytest.raises(NotAllowed):
        services.repair(cast.actor("alice"), place, [node(place)], Repair.REPLACE)
    with pytest.raises(Invalid, match="host-1"):
        services.repair(PORTAL, place, [stranger], Repair.REBOOT)
    with pytest.raises(Invalid):
        services.repair(PORTAL, place, [], Repair.REBOOT)
    with pytest.raises(Conflict):
        services.repair(PORTAL, hosts, [stranger], Repair.REBOOT)
    assert aws_sim.requests == []


def test_the_endpoints_that_lose_a_replica_are_named(place: Cluster, cast: Cast, hyperpod_kube: Simulator) -> None:
    hosts = make_cluster("hosts")
    ours = make_endpoint(cast, cast.alpha, hosts, make_profile(), "chat")
    theirs = make_endpoint(cast, cast.beta, hosts, make_profile("other-cpu"), "search")
    Endpoint.objects.update(cluster=place)
    kube = kube_for(place)
    kube.create(pod_on(node(place).name, "one", {ENDPOINT_UID: str(ours.uid)}))
    kube.create(pod_on(node(place).name, "two", {"app": theirs.external_name, "deploying-service": "hyperpod-inference"}))
    kube.create(pod_on(node(place).name, "foreign", {"app": "postgres"}))
    try:
        assert services.endpoints_on(node(place)) == ["alpha/chat", "beta/search"]
        assert "alpha/chat, beta/search lose a replica" in services.who_is_hurt(node(place))
        assert "no endpoint runs there" in services.who_is_hurt(node(place, SECOND))
    finally:
        for name in ("one", "two", "foreign"):
            hyperpod_kube.cluster.delete("Pod", "default", name)


def pod_on(node: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default", "labels": labels},
            "spec": {"nodeName": node, "containers": [{"name": "c", "image": "registry.example.com/c:1"}]}}


def test_a_cluster_that_does_not_answer_is_said_not_to(aws_sim: AwsSimulator, place: Cluster) -> None:
    place.access.server = "https://127.0.0.1:9"
    place.access.save()
    assert "does not say what runs there" in services.who_is_hurt(node(place))


# The size of a group.


def test_a_group_is_resized_and_all_others_are_sent_as_they_are(aws_sim: AwsSimulator, cast: Cast) -> None:
    with Simulator(nodes=[]) as kube_sim:
        cluster = aws_sim.add_hyperpod("sized", kube=kube_sim, groups={
            "gpu": ("ml.g5.12xlarge", 1), "cpu": ("ml.m5.2xlarge", 2)})
        place = make_hyperpod_place(aws_sim, kube_sim, "sized", cluster=cluster)
        before = {name: dict(group) for name, group in cluster.groups.items()}
        assert services.resize(cast.actor("operator"), place, "gpu", 3)
        sent = aws_sim.calls("sagemaker:UpdateCluster")[0].params["InstanceGroups"]
        assert {group["InstanceGroupName"]: group["InstanceCount"] for group in sent} == {"gpu": 3, "cpu": 2}
        assert all(group["LifeCycleConfig"] == before[group["InstanceGroupName"]]["LifeCycleConfig"] for group in sent)
        assert look(place).status == "Updating"
        entry = AuditEntry.objects.get(verb="resize")
        assert (entry.actor, entry.before, entry.after) == (cast.operator, {"gpu": 1}, {"gpu": 3})
        with pytest.raises(Conflict, match="Updating"):
            services.resize(PORTAL, place, "cpu", 1)
        aws_sim.clock.advance(60)
        side = look(place)
        assert (side.status, {one["InstanceGroupName"]: one["CurrentCount"] for one in side.instance_groups}) == (
            "InService", {"gpu": 3, "cpu": 2})
        assert services.resize(PORTAL, place, "gpu", 3) is False
        assert len(aws_sim.calls("sagemaker:UpdateCluster")) == 1


def test_an_impossible_size_or_person_sends_nothing(aws_sim: AwsSimulator, place: Cluster, cast: Cast) -> None:
    for group, count, error in (("none", 1, Invalid), ("gpu", -1, Invalid), ("gpu", 7000, Invalid)):
        with pytest.raises(error):
            services.resize(PORTAL, place, group, count)
    with pytest.raises(NotAllowed):
        services.resize(cast.actor("alice"), place, "gpu", 1)
    assert aws_sim.calls("sagemaker:UpdateCluster") == []
    assert not AuditEntry.objects.filter(verb="resize").exists()


def test_a_size_that_aws_refuses_is_told_and_audited(aws_sim: AwsSimulator, place: Cluster) -> None:
    aws_sim.faults.fail("ResourceLimitExceeded", "The account-level service limit is 2 instances", 400,
                        operations=["sagemaker:UpdateCluster"])
    groups = AwsPlace.objects.get(cluster=place).instance_groups
    aws_sim.here().clusters["hyperpod"].groups["gpu"]["ExecutionRole"] = "arn:aws:iam::123456789012:role/hyperpod"
    with pytest.raises(Conflict, match="service limit is 2 instances"):
        services.resize(PORTAL, place, groups[0]["InstanceGroupName"], 5)
    assert "service limit" in AuditEntry.objects.get(verb="resize refused").after["gpu"]
