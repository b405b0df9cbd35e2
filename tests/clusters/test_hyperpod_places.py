"""HyperPod clusters found in AWS, brought in and looked at, over the simulators of AWS and of Kubernetes."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clusters import services
from clusters.drivers.kube import kube_for
from clusters.models import AwsPlace, Cluster, KubernetesAccess, Node
from clusters.services.aws_places.looks import LOOK_LEASE
from clusters.states import ClusterKind, Reach, Through
from clusters.tasks import look_at_aws_place, look_at_aws_places
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, Unavailable
from portal.tenancy.models import AuditEntry
from tests.aws import make_aws_account, make_hyperpod_place
from tests.cast import Cast
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.aws.sagemaker.hyperpod import HyperPod, new_instance
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
GROUPS = {"gpu": ("ml.g5.12xlarge", 2), "cpu": ("ml.m5.2xlarge", 1)}


def side_of(place: Cluster) -> AwsPlace:
    return AwsPlace.objects.select_related("account", "cluster").get(cluster=place)


def look(place: Cluster) -> AwsPlace:
    assert services.look_at_place(side_of(place))
    return side_of(place)


def slurm(sim: AwsSimulator, name: str) -> None:
    cluster = sim.add_hyperpod(name, groups=GROUPS)
    cluster.options.pop("Orchestrator")


# Discover.


def test_all_clusters_of_a_region_are_found_with_what_can_be_done(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    account = make_aws_account(aws_sim)
    make_hyperpod_place(aws_sim, hyperpod_kube, "known", account)
    aws_sim.add_hyperpod("fresh", groups=GROUPS, TieredStorageConfig={"Mode": "Enable"})
    aws_sim.add_hyperpod("busy", status="Updating")
    aws_sim.add_hyperpod("leaving", status="Deleting")
    slurm(aws_sim, "slurmy")
    found = {one.cluster.name: one for one in services.discover(PORTAL, account)}
    assert list(found) == ["busy", "fresh", "known", "leaving", "slurmy"]
    assert {name for name, one in found.items() if one.can_import} == {"busy", "fresh"}
    assert (found["fresh"].cluster.instances, found["fresh"].cluster.features["tiered_storage"]) == (3, True)
    assert found["fresh"].note == ""
    assert "is updating" in found["busy"].note
    assert found["known"].place == "known"
    assert "Slurm" in found["slurmy"].why_not
    assert "deleting" in found["leaving"].why_not


def test_more_clusters_than_a_page_are_found(aws_sim: AwsSimulator) -> None:
    for number in range(120):
        aws_sim.add_hyperpod(f"pod-{number:03}")
    found = services.discover(PORTAL, make_aws_account(aws_sim))
    assert len(found) == 120
    assert len(aws_sim.calls("sagemaker:ListClusters")) == 2
    assert len(aws_sim.calls("sagemaker:DescribeCluster")) == 120


def test_a_cluster_that_can_not_be_described_hides_no_other(aws_sim: AwsSimulator) -> None:
    aws_sim.add_hyperpod("one")
    aws_sim.add_hyperpod("two")
    aws_sim.faults.fail("ResourceNotFound", "Cluster not found", 400, times=1, operations=["sagemaker:DescribeCluster"])
    found = services.discover(PORTAL, make_aws_account(aws_sim))
    assert [one.cluster.name for one in found] == ["one", "two"]
    assert [one.can_import for one in found].count(False) == 1
    assert "Cluster not found" in next(one.why_not for one in found if one.why_not)


def test_a_missing_right_is_named(aws_sim: AwsSimulator) -> None:
    aws_sim.faults.refuse("sagemaker:ListClusters")
    with pytest.raises(Conflict, match="sagemaker:ListClusters"):
        services.discover(PORTAL, make_aws_account(aws_sim))


def test_aws_that_is_away_is_unavailable(aws_sim: AwsSimulator) -> None:
    account = make_aws_account(aws_sim)
    aws_sim.faults.drop()
    with pytest.raises(Unavailable):
        services.discover(PORTAL, account)


def test_a_region_that_is_none_is_never_asked(aws_sim: AwsSimulator) -> None:
    with pytest.raises(Invalid) as refused:
        services.discover(PORTAL, make_aws_account(aws_sim), "evil.example.org/#")
    assert refused.value.field == "region"
    assert aws_sim.requests == []


def test_people_of_a_workspace_find_and_import_nothing(aws_sim: AwsSimulator, cast: Cast) -> None:
    account, cluster = make_aws_account(aws_sim), aws_sim.add_hyperpod("pod")
    with pytest.raises(NotAllowed):
        services.discover(cast.actor("alice"), account)
    with pytest.raises(NotAllowed):
        services.import_hyperpod(cast.actor("alice"), account, "", cluster.arn)
    assert aws_sim.requests == []


# Import.


def test_an_imported_cluster_is_a_place_that_works(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator, cast: Cast, django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = aws_sim.add_hyperpod("Team-Pod", kube=hyperpod_kube, TieredStorageConfig={"Mode": "Enable"})
    sent: list[str] = []
    monkeypatch.setattr("portal.tenancy.queue._send", lambda task, _args: sent.append(task.rpartition(".")[2]))
    with django_capture_on_commit_callbacks(execute=True):
        place = services.import_hyperpod(cast.actor("operator"), make_aws_account(aws_sim), "", cluster.arn)
    assert sorted(sent) == ["check_place", "look_at_aws_place", "refresh_inventory"]
    assert (place.name, place.kind) == ("team-pod", ClusterKind.HYPERPOD)
    side, access = side_of(place), KubernetesAccess.objects.get(cluster=place)
    assert (side.hyperpod_arn, side.eks_name, side.status, side.reach) == (cluster.arn, "Team-Pod-eks", "InService", Reach.OK)
    assert side.features["tiered_storage"] is True
    assert (access.through, access.server, access.ca) == (Through.EKS, hyperpod_kube.url, hyperpod_kube.ca_pem)
    assert (access.token, access.client_key) == ("", "")
    # What the tasks do.
    assert services.check_access(place).reach == Reach.OK
    assert services.refresh_inventory(place)
    look(place)
    nodes = Node.objects.filter(cluster=place)
    assert {(node.instance_status, node.instance_group, node.gpus, node.ready) for node in nodes} == {
        ("Running", "gpu", 4, True)}
    assert all(node.name == f"hyperpod-{node.instance_id}" for node in nodes)
    entry = AuditEntry.objects.get(verb="import from AWS")
    assert (entry.actor, entry.after["arn"]) == (cast.operator, cluster.arn)


def test_a_cluster_is_imported_once(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    account = make_aws_account(aws_sim)
    cluster = aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    services.import_hyperpod(PORTAL, account, "", cluster.arn)
    with pytest.raises(Conflict) as refused:
        services.import_hyperpod(PORTAL, account, "", "pod", name="other")
    assert refused.value.code == "imported"
    assert Cluster.objects.count() == 1


def test_a_refused_import_leaves_nothing(aws_sim: AwsSimulator, hyperpod_kube: Simulator, cast: Cast) -> None:
    account = make_aws_account(aws_sim)
    slurm(aws_sim, "slurmy")
    good = aws_sim.add_hyperpod("pod", kube=hyperpod_kube)
    Cluster.objects.create(name="pod", kind=ClusterKind.HOSTS)
    foreign = make_aws_account(aws_sim, "foreign", workspace=cast.beta)
    before = AuditEntry.objects.count()
    for name, words in (("slurmy", "Slurm"), ("nowhere", "not found"), (good.arn, "already a place")):
        with pytest.raises(Conflict, match=words):
            services.import_hyperpod(PORTAL, account, "", name)
    with pytest.raises(Invalid, match="another workspace"):
        services.import_hyperpod(PORTAL, foreign, "", good.arn, name="theirs", workspace=cast.alpha)
    aws_sim.faults.refuse("eks:DescribeCluster")
    with pytest.raises(Conflict, match="eks:DescribeCluster"):
        services.import_hyperpod(PORTAL, account, "", good.arn, name="blind")
    assert (Cluster.objects.count(), AwsPlace.objects.count(), KubernetesAccess.objects.count()) == (1, 0, 0)
    assert AuditEntry.objects.count() == before


def test_a_cluster_whose_eks_is_still_being_made_comes_in_and_is_reached_later(
    aws_sim: AwsSimulator, hyperpod_kube: Simulator,
) -> None:
    cluster = aws_sim.add_hyperpod("young", kube=hyperpod_kube, status="Creating")
    eks = next(one for names in aws_sim.eks.clusters.values() for one in names.values())
    eks.status = "CREATING"
    place = services.import_hyperpod(PORTAL, make_aws_account(aws_sim), "", cluster.arn)
    assert KubernetesAccess.objects.get(cluster=place).server == ""
    assert "still making" in services.why_not_deployable(side_of(place).cluster)
    eks.status, cluster.status = "ACTIVE", "InService"
    look(place)
    access = KubernetesAccess.objects.get(cluster=place)
    assert (access.server, access.ca) == (hyperpod_kube.url, hyperpod_kube.ca_pem)
    assert services.why_not_deployable(side_of(place).cluster) == ""
    assert services.check_access(place).reach == Reach.OK


# Look.


@pytest.fixture
def place(aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> Cluster:
    return make_hyperpod_place(aws_sim, hyperpod_kube)


@pytest.fixture
def pod(aws_sim: AwsSimulator, place: Cluster) -> Any:
    return aws_sim.here().clusters["hyperpod"]


def test_a_look_costs_three_calls_and_few_queries_where_nothing_changed(aws_sim: AwsSimulator, place: Cluster) -> None:
    services.refresh_inventory(place)
    look(place)
    aws_sim.app.requests.clear()
    side = side_of(place)
    with CaptureQueriesContext(connection) as seen:
        services.look_at_place(side)
    assert sorted(one.name for one in aws_sim.requests) == [
        "eks:DescribeCluster", "sagemaker:DescribeCluster", "sagemaker:ListClusterNodes"]
    assert len([query for query in seen if "SAVEPOINT" not in query["sql"]]) <= 6


def test_the_state_the_groups_and_the_features_follow(place: Cluster, pod: Any) -> None:
    look(place)
    pod.status, pod.failure = "Failed", "no capacity for ml.p5.48xlarge"
    pod.options |= {"TieredStorageConfig": {"Mode": "Disable"}, "NodeRecovery": "None"}
    side = look(place)
    assert (side.status, side.status_message) == ("Failed", "no capacity for ml.p5.48xlarge")
    assert (side.features["tiered_storage"], side.features["node_recovery"]) == (False, "None")
    assert [(one["InstanceGroupName"], one["CurrentCount"]) for one in side.instance_groups] == [("gpu", 2)]
    with pytest.raises(Invalid, match="no capacity for ml") as refused:
        services.require_deployable(side.cluster)
    assert refused.value.field == "cluster"
    pod.status = "InService"
    services.require_deployable(look(place).cluster)


def test_places_of_other_kinds_are_always_deployable(place: Cluster) -> None:
    services.require_deployable(Cluster.objects.create(name="hosts", kind=ClusterKind.HOSTS))
    services.require_deployable(Cluster.objects.create(name="bare", kind=ClusterKind.HYPERPOD))
    AwsPlace.objects.filter(cluster=place).update(status="")
    with pytest.raises(Invalid, match="not been asked"):
        services.require_deployable(Cluster.objects.get(pk=place.pk))


def test_machines_that_kubernetes_does_not_know_are_shown_and_go_again(place: Cluster, pod: Any) -> None:
    services.refresh_inventory(place)
    late = new_instance("gpu", "ml.g5.12xlarge", 0.0, "Pending")
    late.message = "Deep health checks are running"
    pod.nodes[late.id] = late  # AWS has started it, Kubernetes has not heard of it
    look(place)
    row = Node.objects.get(cluster=place, instance_id=late.id)
    assert (row.name, row.ready, row.gpus, row.has_joined) == (f"hyperpod-{late.id}", False, 0, False)
    assert (row.instance_status, row.instance_message) == ("Pending", "Deep health checks are running")
    assert "not joined" in row.message
    services.refresh_inventory(place)
    assert Node.objects.filter(pk=row.pk).exists()  # Kubernetes' silence takes no machine of AWS away
    del pod.nodes[late.id]
    look(place)
    assert not Node.objects.filter(pk=row.pk).exists()
    assert Node.objects.filter(cluster=place).count() == 2


def test_a_node_goes_when_neither_knows_it(aws_sim: AwsSimulator, place: Cluster) -> None:
    with Simulator(nodes=[hyperpod_node("i-0aaa"), hyperpod_node("i-0bbb")]) as kube_sim:
        cluster = aws_sim.add_hyperpod("two", kube=kube_sim)
        other = make_hyperpod_place(aws_sim, kube_sim, "two", cluster=cluster, account=side_of(place).account)
        services.refresh_inventory(other)
        look(other)
        kube_sim.cluster.delete("Node", "", "hyperpod-i-0aaa")
        services.refresh_inventory(other)
        left = Node.objects.get(cluster=other, instance_id="i-0aaa")
        assert (left.ready, left.gpus, left.has_joined, left.accelerators.count()) == (False, 0, False, 0)
        assert "has left" in left.message
        del cluster.nodes["i-0aaa"]
        look(other)
        assert [node.instance_id for node in Node.objects.filter(cluster=other)] == ["i-0bbb"]
        del cluster.nodes["i-0bbb"]  # AWS lets go first: the node stays until Kubernetes does so too
        cluster.groups["gpu"]["TargetCount"] = 0
        look(other)
        kept = Node.objects.get(cluster=other)
        assert (kept.instance_id, kept.instance_status, kept.ready) == ("", "", True)


def test_an_empty_listing_of_a_cluster_with_machines_takes_none_away(
    place: Cluster, pod: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:
    services.refresh_inventory(place)
    look(place)
    monkeypatch.setattr(HyperPod, "count", lambda _self: None)  # describing goes on saying two
    pod.nodes.clear()
    look(place)
    assert Node.objects.filter(cluster=place).exclude(instance_id="").count() == 2


def test_a_rotated_ca_heals_by_itself_and_is_audited(aws_sim: AwsSimulator, place: Cluster, hyperpod_kube: Simulator) -> None:
    KubernetesAccess.objects.filter(cluster=place).update(ca=OTHER_CA, server="https://127.0.0.1:9443")
    assert services.check_access(place).reach != Reach.OK
    look(place)
    access = KubernetesAccess.objects.get(cluster=place)
    assert (access.server, access.ca) == (hyperpod_kube.url, hyperpod_kube.ca_pem)
    assert services.check_access(place).reach == Reach.OK
    entry = AuditEntry.objects.get(verb="follow EKS")
    assert (entry.actor_label, entry.before["server"]) == ("portal", "https://127.0.0.1:9443")
    assert entry.after["ca"].startswith("sha256:")
    look(place)
    assert AuditEntry.objects.filter(verb="follow EKS").count() == 1


def test_an_address_that_no_cluster_has_is_never_called(
    aws_sim: AwsSimulator, place: Cluster, hyperpod_kube: Simulator,
) -> None:
    """Even AWS's word is judged (T17): the token would go there."""
    eks = next(one for names in aws_sim.eks.clusters.values() for one in names.values())
    eks.endpoint = "https://169.254.169.254"
    side = look(place)
    assert (side.reach, side.status) == (Reach.OK, "InService")
    assert "address not allowed" in side.message
    assert KubernetesAccess.objects.get(cluster=place).server == hyperpod_kube.url


def test_a_node_that_aws_and_kubernetes_tell_of_at_the_same_moment_is_one(place: Cluster, hyperpod_kube: Simulator) -> None:
    done: list[str] = []

    def meanwhile(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found = execute(sql, params, many, context)
        if sql.startswith("SELECT") and "clusters_node" in sql and not done:
            done.append(sql)
            Node.objects.create(cluster=place, name="hyperpod-i-0123456789abcdef0", instance_id="i-0123456789abcdef0")
        return found

    with connection.execute_wrapper(meanwhile):
        assert services.refresh_inventory(place)
    assert done
    assert Node.objects.filter(cluster=place).count() == 2
    look(place)
    assert Node.objects.get(name="hyperpod-i-0123456789abcdef0").instance_status == "Running"


def test_the_tasks_do_what_the_services_do(place: Cluster, django_capture_on_commit_callbacks: Any) -> None:
    look_at_aws_place(side_of(place).pk)
    assert side_of(place).looked_at is not None
    look_at_aws_place(0)  # gone meanwhile
    with django_capture_on_commit_callbacks() as bells:
        look_at_aws_places()
    assert len(bells) == 1


def test_a_cluster_that_was_connected_by_a_token_keeps_it(aws_sim: AwsSimulator, place: Cluster) -> None:
    KubernetesAccess.objects.filter(cluster=place).update(through=Through.DIRECT, ca="", server="https://10.0.0.1")
    look(place)
    assert KubernetesAccess.objects.get(cluster=place).server == "https://10.0.0.1"


@pytest.mark.parametrize(("right", "reach", "kept"), [
    ("sagemaker:DescribeCluster", Reach.FORBIDDEN, "InService"), ("eks:DescribeCluster", Reach.FORBIDDEN, "Updating"),
    ("sagemaker:ListClusterNodes", Reach.FORBIDDEN, "Updating")])
def test_a_missing_right_is_said_and_hides_nothing_else(
    aws_sim: AwsSimulator, place: Cluster, pod: Any, right: str, reach: Reach, kept: str,
) -> None:
    before = look(place).looked_at
    pod.status = "Updating"
    aws_sim.faults.refuse(right)
    side = look(place)
    assert (side.reach, side.status, side.looked_at) == (reach, kept, before)
    assert right in side.message
    aws_sim.faults.allow(right)
    side = look(place)
    assert (side.reach, side.message, side.status) == (Reach.OK, "", "Updating")


def test_aws_that_is_away_changes_only_the_age(aws_sim: AwsSimulator, place: Cluster) -> None:
    services.refresh_inventory(place)
    before = look(place)
    aws_sim.faults.drop()
    side = look(place)
    assert (side.reach, side.status, side.looked_at) == (Reach.UNREACHABLE, "InService", before.looked_at)
    since = side.reach_since
    assert look(place).reach_since == since
    assert Node.objects.filter(cluster=place).exclude(instance_id="").count() == 2


def test_a_cluster_that_aws_no_longer_knows_is_said_to_be_gone(aws_sim: AwsSimulator, place: Cluster) -> None:
    look(place)
    aws_sim.here().clusters.clear()
    side = look(place)
    assert side.status == "NotFound"
    with pytest.raises(Invalid, match="no such cluster"):
        services.require_deployable(side.cluster)


def test_one_worker_at_a_time_looks_at_a_place(place: Cluster) -> None:
    rows = AwsPlace.objects.filter(cluster=place)
    rows.update(look_until=timezone.now() + LOOK_LEASE)
    assert services.look_at_place(side_of(place)) is False
    rows.update(look_until=timezone.now() - LOOK_LEASE)
    assert services.look_at_place(side_of(place)) is True
    assert side_of(place).look_until is None


def test_the_bell_is_rung_once_for_each_place(
    aws_sim: AwsSimulator, place: Cluster, hyperpod_kube: Simulator, django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_hyperpod_place(aws_sim, hyperpod_kube, "second", side_of(place).account)
    rung: list[Any] = []
    monkeypatch.setattr("portal.tenancy.queue._send", lambda task, args: rung.append((task, args)))
    with django_capture_on_commit_callbacks(execute=True):
        assert services.look_at_all() == 2
    assert {task for task, _args in rung} == {"clusters.tasks.look_at_aws_place"}
    assert sorted(args[0] for _task, args in rung) == sorted(AwsPlace.objects.values_list("pk", flat=True))


def test_what_a_person_asks_now_asks_both(place: Cluster, pod: Any) -> None:
    pod.status = "SystemUpdating"
    assert services.check_place(PORTAL, place).reach == Reach.OK
    assert side_of(place).status == "SystemUpdating"
    services.refresh_place(PORTAL, place)
    assert {node.instance_status for node in Node.objects.filter(cluster=place)} == {"Running"}
    assert kube_for(place).version()


def test_a_refused_sign_in_is_what_a_test_says(aws_sim: AwsSimulator, place: Cluster) -> None:
    account = side_of(place).account
    account.put_secret("secret_access_key", "another-secret-that-is-wrong")
    account.save()
    found = services.check_place(PORTAL, place)
    assert found.reach == Reach.AUTH_FAILED
    assert side_of(place).reach == Reach.AUTH_FAILED
    with pytest.raises(Unavailable):
        services.refresh_place(PORTAL, place)


OTHER_CA = """-----BEGIN CERTIFICATE-----
-----END CERTIFICATE-----
"""
