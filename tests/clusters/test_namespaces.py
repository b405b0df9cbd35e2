"""Workspaces' namespaces: made with quota and policy, cheap to repeat, never somebody else's."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from clusters import rbac, services
from clusters.drivers import kinds, kube
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.models import Cluster
from clusters.namespace_objects import NAME, namespace_objects
from clusters.namespaces import WORKSPACE_UID, workspace_namespace
from clusters.services.namespaces import NameTaken, ensure_namespace, forget_namespace
from clusters.states import ClusterKind
from portal.tenancy.actor import PORTAL
from portal.tenancy.models import Workspace
from tests.cast import make_cluster, set_limit
from tests.clusters.test_connect import PLURALS
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.client import Refused
from tests.simulators.kubernetes.server import Simulator, cpu_node

QUOTA = "resourcequotas"


@pytest.fixture
def workspace(db: None) -> Workspace:
    """Of a name that no other test's namespace has: the simulator is shared."""
    return limited(Workspace.objects.create(name="Team", slug=f"t{uuid.uuid4().hex[:12]}"), 3)


def limited(workspace: Workspace, gpus: int | None) -> Workspace:
    """The workspace as it is read once it may have so many GPUs."""
    set_limit(workspace, gpus=gpus)
    return Workspace.objects.get(pk=workspace.pk)


@pytest.fixture
def place(workspace: Workspace, kube_sim: Simulator) -> Cluster:
    return make_kubernetes_place(kube_sim, workspace.slug)


def quota_of(sim: Simulator, namespace: str) -> dict[str, Any]:
    hard: dict[str, Any] = sim.client().get("v1", QUOTA, namespace, NAME)["spec"]["hard"]
    return hard


def test_a_namespace_has_quota_policy_and_pod_security(place: Cluster, workspace: Workspace, kube_sim: Simulator) -> None:
    namespace = ensure_namespace(kube.kube_for(place), place, workspace)
    assert namespace == workspace_namespace(workspace)
    labels = kube_sim.client().get("v1", "namespaces", name=namespace)["metadata"]["labels"]
    assert labels[WORKSPACE_UID] == str(workspace.uid)
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert labels["pod-security.kubernetes.io/warn"] == "restricted"
    assert quota_of(kube_sim, namespace) == {"services.loadbalancers": "0", "services.nodeports": "0",
                                             "requests.nvidia.com/gpu": "3", "requests.amd.com/gpu": "3"}
    policy = kube_sim.client().get("networking.k8s.io/v1", "networkpolicies", namespace, NAME)["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert not policy.get("ingress")
    assert [port["port"] for rule in policy["egress"] for port in rule.get("ports", [])] == [53, 53, 443]


def test_engines_without_root_get_the_restricted_standard(workspace: Workspace) -> None:
    labels = namespace_objects(workspace, restricted=True)[0]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_weights_come_over_https_but_never_from_the_metadata_service(workspace: Workspace) -> None:
    https = namespace_objects(workspace)[2]["spec"]["egress"][1]
    assert [(to["ipBlock"]["cidr"], to["ipBlock"]["except"][0]) for to in https["to"]] == [
        ("0.0.0.0/0", "169.254.0.0/16"), ("::/0", "fe80::/10")]


def test_without_a_limit_gpus_are_not_counted(workspace: Workspace) -> None:
    assert "requests.nvidia.com/gpu" not in namespace_objects(limited(workspace, None))[1]["spec"]["hard"]


def test_repeating_it_asks_nothing_until_a_limit_changes(place: Cluster, workspace: Workspace, kube_sim: Simulator) -> None:
    namespace = ensure_namespace(kube.kube_for(place), place, workspace)

    def asked() -> int:
        return sum(namespace in request.path for request in kube_sim.requests)

    before = asked()
    ensure_namespace(kube.kube_for(place), place, workspace)
    assert asked() == before
    ensure_namespace(kube.kube_for(place), place, limited(workspace, 5))
    assert quota_of(kube_sim, namespace)["requests.nvidia.com/gpu"] == "5"
    workspace = limited(workspace, None)
    ensure_namespace(kube.kube_for(place), place, workspace)
    assert "requests.nvidia.com/gpu" not in quota_of(kube_sim, namespace)
    before = asked()
    forget_namespace(place, workspace)
    ensure_namespace(kube.kube_for(place), place, workspace)
    assert asked() > before


@pytest.mark.parametrize("labels", [{}, {WORKSPACE_UID: "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}])
def test_somebody_elses_namespace_of_that_name_is_left_alone(
    place: Cluster, workspace: Workspace, kube_sim: Simulator, labels: dict[str, str],
) -> None:
    name = workspace_namespace(workspace)
    made = kube_sim.client().create("namespaces", {
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    with pytest.raises(NameTaken, match=name):
        ensure_namespace(kube.kube_for(place), place, workspace)
    there = kube_sim.client().get("v1", "namespaces", name=name)
    assert there["metadata"]["labels"] == made["metadata"]["labels"]
    assert kube_sim.client().list("v1", QUOTA, name) == []


def test_a_namespace_that_is_being_deleted_is_waited_for(place: Cluster, workspace: Workspace, kube_sim: Simulator) -> None:
    name = workspace_namespace(workspace)
    kube_sim.client().create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": {WORKSPACE_UID: str(workspace.uid)}}})
    kube_sim.client().create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "held", "namespace": name, "finalizers": ["example.org/hold"]}})
    kube_sim.client().call("DELETE", f"/api/v1/namespaces/{name}")
    with pytest.raises(KubeError) as refused:
        ensure_namespace(kube.kube_for(place), place, workspace)
    assert refused.value.problem == Problem.ENDING
    kube_sim.client().patch("v1", "configmaps", name, "held", {"metadata": {"finalizers": None}})


@pytest.fixture(scope="module")
def rights_sim() -> Iterator[Simulator]:
    with Simulator(nodes=[cpu_node("cpu-a")]) as sim:
        for manifest in yaml.safe_load_all(rbac.manifest()):
            sim.client().apply(PLURALS[manifest["kind"]], manifest)
        yield sim


def test_the_least_rights_are_enough_and_reach_no_other_namespace(workspace: Workspace, rights_sim: Simulator) -> None:
    place = make_cluster(f"least-{workspace.slug}", kind=ClusterKind.KUBERNETES)
    services.connect(PORTAL, place, server=rights_sim.url, ca=rights_sim.ca_pem,
                     token=rights_sim.token_for(rbac.HOME, rbac.ACCOUNT))
    kube.forget(place)
    narrow = kube.kube_for(place)
    namespace = ensure_namespace(narrow, place, workspace)
    assert narrow.may("patch", kinds.STATEFUL_SET, namespace)
    for other in ("default", "kube-system"):
        assert not narrow.may("patch", kinds.STATEFUL_SET, other)
        assert not narrow.may("get", kinds.SECRET, other)
    with pytest.raises(KubeError) as refused:
        narrow.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}})
    assert refused.value.problem == Problem.FORBIDDEN
    with pytest.raises(Refused):
        rights_sim.client().get("v1", "configmaps", "default", "x")
