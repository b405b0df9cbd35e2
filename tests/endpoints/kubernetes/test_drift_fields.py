"""Drift in breadth: kubectl changes fields of every kind of object, and one pass finds each with its maker's name."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clusters.models import Cluster, KubernetesAccess
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import namespace_of, spec_of
from endpoints.states import DriftPolicy, Status
from endpoints.targets import target_for
from endpoints.targets.base import FindsDrift
from portal.tenancy.errors import Conflict
from tests.cast import Cast
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node

from .cluster_play import cluster_profile, in_service, new_endpoint, stateful_set, until
from .test_drift import again
from .test_kinds import SCALED, grouped_profile, make_gateway, scale_as_keda

pytestmark = pytest.mark.django_db(transaction=True)
Kubectl = Callable[..., str]
CAPABILITIES = {name: {"found": True} for name in ("keda", "gateway", "lws", "prometheus")}

# The Prometheus operator's, as far as we use it: https://prometheus-operator.dev/docs/api-reference/api/
POD_MONITORS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "podmonitors.monitoring.coreos.com"},
    "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
             "names": {"plural": "podmonitors", "singular": "podmonitor", "kind": "PodMonitor", "listKind": "PodMonitorList"},
             "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                 "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
}


@dataclass(frozen=True)
class Edit:
    """What somebody does to one object of endpoint `of`, and how the portal has to tell it."""

    of: str
    words: str
    path: str
    manager: str
    patch: dict[str, Any] | None = None
    subject: str = "StatefulSet/{name}"


def patched(
    subject: str, path: str, patch: dict[str, Any], of: str = "flat", manager: str = "kubectl-patch", *, gone: bool = False,
) -> Edit:
    """By `kubectl patch`, as a merge patch; another manager is another program. Of a field that is gone nobody is the owner."""
    words = f"patch {subject} --type=merge" + ("" if manager == "kubectl-patch" else f" --field-manager={manager}")
    return Edit(of, words, path, "" if gone else manager, patch, subject)


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def pod(**fields: Any) -> dict[str, Any]:
    return spec(template={"spec": fields})


POD = "spec.template.spec"
ENGINE = f"{POD}.containers[engine]"
SET = "StatefulSet/{name}"
GROUPS = "LeaderWorkerSet/{name}"
LEADER = "spec.leaderWorkerTemplate"
EDITS: tuple[Edit, ...] = (
    Edit("flat", "set image statefulset/{name} engine=example.org/other:1", f"{ENGINE}.image", "kubectl-set"),
    Edit("flat", "set env statefulset/{name} VLLM_NO_USAGE_STATS=0", f"{ENGINE}.env[VLLM_NO_USAGE_STATS].value", "kubectl-set"),
    Edit("flat", "set env statefulset/{name} DO_NOT_TRACK-", f"{ENGINE}.env[DO_NOT_TRACK].name", ""),
    Edit("flat", "set resources statefulset/{name} --limits=memory=64Gi", f"{ENGINE}.resources.limits.memory", "kubectl-set"),
    Edit("flat", "set resources statefulset/{name} --requests=cpu=17", f"{ENGINE}.resources.requests.cpu", "kubectl-set"),
    Edit("flat", "scale statefulset/{name} --replicas=3", "spec.replicas", "kubectl"),
    Edit("flat", "label statefulset/{name} app=mine --overwrite", "metadata.labels.app", "kubectl-label"),
    Edit("flat", "annotate statefulset/{name} inference-portal/generation=99 --overwrite",
         "metadata.annotations.inference-portal/generation", "kubectl-annotate"),
    patched(SET, f"{POD}.terminationGracePeriodSeconds", pod(terminationGracePeriodSeconds=7)),
    patched(SET, f"{POD}.automountServiceAccountToken", pod(automountServiceAccountToken=True), manager="helm"),
    patched(SET, f"{POD}.enableServiceLinks", pod(enableServiceLinks=True), manager="helm"),
    patched(SET, f"{POD}.securityContext.runAsUser", pod(securityContext={"runAsUser": 1}), manager="helm"),
    patched(SET, f"{POD}.securityContext.fsGroup", pod(securityContext={"fsGroup": 7})),
    patched(SET, f"{POD}.securityContext.seccompProfile.type", pod(securityContext={"seccompProfile": {"type": "Unconfined"}})),
    patched(SET, "spec.updateStrategy.rollingUpdate.partition", spec(updateStrategy={"rollingUpdate": {"partition": 5}})),
    patched(SET, "spec.revisionHistoryLimit", spec(revisionHistoryLimit=9), manager="argocd-controller"),
    patched(SET, "spec.template.metadata.labels.inference-portal/revision", spec(
        template={"metadata": {"labels": {"inference-portal/revision": "77"}}}), manager="argocd-controller"),
    patched("Service/{name}", "spec.selector.app", spec(selector={"app": "other"})),
    patched("Service/{name}", "spec.type", spec(type="NodePort")),
    patched("Service/{name}", "spec.ports[8000,TCP].targetPort", spec(
        ports=[{"name": "http", "port": 8000, "targetPort": 22, "protocol": "TCP"}])),
    Edit("flat", "annotate service/{name} inference-portal/applied=0 --overwrite",
         "metadata.annotations.inference-portal/applied", "kubectl-annotate", subject="Service/{name}"),
    patched("Service/{name}-headless", "spec.ports[8000,TCP].port", spec(ports=[{"name": "http", "port": 9000}]), gone=True),
    patched("Service/{name}-headless", "spec.publishNotReadyAddresses", spec(publishNotReadyAddresses=False), gone=True),
    patched("NetworkPolicy/{name}", "spec.ingress", spec(ingress=[{}])),
    patched("NetworkPolicy/{name}", "spec.egress", spec(egress=[{}]), manager="helm"),
    patched("NetworkPolicy/{name}", "spec.policyTypes", spec(policyTypes=["Ingress"])),
    patched("PodDisruptionBudget/{name}", "spec.maxUnavailable", spec(maxUnavailable=2)),
    patched("ServiceAccount/{name}", "automountServiceAccountToken", {"automountServiceAccountToken": True}),
    Edit("flat", "label serviceaccount/{name} app.kubernetes.io/managed-by=me --overwrite",
         'metadata.labels."app.kubernetes.io/managed-by"', "kubectl-label", subject="ServiceAccount/{name}"),
    patched("HTTPRoute/{name}", "spec.parentRefs", spec(parentRefs=[{"name": "other"}])),
    patched("HTTPRoute/{name}", "spec.rules", spec(rules=[{"backendRefs": [{"name": "evil", "port": 80}]}]), manager="helm"),
    patched("PodMonitor/{name}", "spec.podMetricsEndpoints", spec(podMetricsEndpoints=[{"port": "other"}])),
    patched("ScaledObject/{name}-scaler", "spec.maxReplicaCount", spec(maxReplicaCount=40), "scaled"),
    patched("ScaledObject/{name}-scaler", "spec.pollingInterval", spec(pollingInterval=1), "scaled", "helm"),
    patched("ScaledObject/{name}-scaler", "spec.triggers", spec(
        triggers=[{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "1"}}]), "scaled"),
    Edit("scaled", "set image statefulset/{name} engine=example.org/other:2", f"{ENGINE}.image", "kubectl-set"),
    patched("PodDisruptionBudget/{name}", "spec.maxUnavailable", spec(maxUnavailable=3), "scaled"),
    patched(GROUPS, "spec.startupPolicy", spec(startupPolicy="LeaderReady"), "wide"),
    patched(GROUPS, f"{LEADER}.restartPolicy", spec(leaderWorkerTemplate={"restartPolicy": "None"}), "wide"),
    patched(GROUPS, f"{LEADER}.workerTemplate.spec.terminationGracePeriodSeconds", spec(
        leaderWorkerTemplate={"workerTemplate": {"spec": {"terminationGracePeriodSeconds": 7}}}), "wide", "helm"),
    patched(GROUPS, f"{LEADER}.leaderTemplate.spec.enableServiceLinks", spec(
        leaderWorkerTemplate={"leaderTemplate": {"spec": {"enableServiceLinks": True}}}), "wide"),
    Edit("wide", "scale leaderworkersets/{name} --replicas=2", "spec.replicas", "kubectl", subject=GROUPS),
)


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(nodes=[gpu_node("gpu-a"), gpu_node("gpu-b"), gpu_node("gpu-c"), cpu_node("cpu-a")], speed=10.0) as simulator:
        simulator.client().create("customresourcedefinitions", POD_MONITORS)
        make_gateway(simulator)
        yield simulator


@pytest.fixture
def place(cast: Cast, sim: Simulator) -> Cluster:
    made = make_kubernetes_place(sim)
    KubernetesAccess.objects.filter(cluster=made).update(capabilities=CAPABILITIES, gateway="default/main")
    return made


@pytest.fixture
def kubectl(sim: Simulator, tmp_path: Path) -> Kubectl:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(sim.kubeconfig())

    def run(endpoint: Endpoint, words: str, patch: dict[str, Any] | None = None) -> str:
        command = [program, f"--kubeconfig={kubeconfig}", f"--cache-dir={tmp_path}", "-n", namespace_of(endpoint),
                   *words.format(name=endpoint.external_name).split(), *(["-p", json.dumps(patch)] if patch else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command} {done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.fixture
def endpoints(cast: Cast, place: Cluster, sim: Simulator) -> Iterator[dict[str, Endpoint]]:
    """One on a StatefulSet with all around it, one that KEDA scales, one over two nodes."""
    cluster_profile()
    made = {"flat": new_endpoint(cast, place, "flat", replicas=2),
            "scaled": new_endpoint(cast, place, "scaled", autoscale=SCALED),
            "wide": new_endpoint(cast, place, "wide", profile=grouped_profile())}
    yield {name: in_service(row) for name, row in made.items()}
    sim.client().delete("v1", "namespaces", "", namespace_of(made["flat"]))


@pytest.fixture
def edited(endpoints: dict[str, Endpoint], kubectl: Kubectl) -> dict[str, Endpoint]:
    """The same after somebody was there."""
    assert services.find_drift(endpoints["flat"].cluster) == 0, "nobody was there yet"
    Endpoint.objects.update(drift_policy=DriftPolicy.REPORT)
    for edit in EDITS:
        kubectl(endpoints[edit.of], edit.words, edit.patch)
    return endpoints


Told = set[tuple[str, str, str, str]]


def expected(endpoints: dict[str, Endpoint]) -> Told:
    return {(edit.of, edit.subject.format(name=endpoints[edit.of].external_name), edit.path, edit.manager) for edit in EDITS}


def told(endpoints: dict[str, Endpoint]) -> Told:
    return {(name, change["object"], change["path"], change["manager"])
            for name, row in endpoints.items() for change in again(row).drift}


def test_there_are_enough_edits_of_enough_kinds() -> None:
    assert len({(edit.of, edit.subject, edit.path) for edit in EDITS}) == len(EDITS) >= 30
    assert {edit.subject.partition("/")[0] for edit in EDITS} == {
        "StatefulSet", "Service", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "HTTPRoute", "PodMonitor",
        "ScaledObject", "LeaderWorkerSet"}
    assert len({edit.manager for edit in EDITS}) >= 6


def test_one_pass_finds_every_edit_with_its_managers_name_and_the_next_puts_all_back(edited: dict[str, Endpoint]) -> None:
    assert services.find_drift(edited["flat"].cluster) == 3
    assert expected(edited) - told(edited) == set()
    # A removed variable and a renumbered port are several fields each.
    assert {path for _of, _subject, path, _manager in told(edited) - expected(edited)} == {
        f"{ENGINE}.env[DO_NOT_TRACK].value", "spec.ports[8000,TCP].name", "spec.ports[8000,TCP].protocol",
        "spec.ports[8000,TCP].targetPort"}
    Endpoint.objects.update(drift_policy=DriftPolicy.CORRECT)
    assert services.find_drift(edited["flat"].cluster) == 3
    assert services.find_drift(edited["flat"].cluster) == 0
    for row in edited.values():
        assert plans_nothing(in_service(again(row)))
        assert again(row).corrections == 1


def plans_nothing(row: Endpoint) -> bool:
    return {step.verb for step in services.plan(again(row)).plan.steps} == {"keep"}


def test_accepting_all_of_it_leaves_an_empty_plan(edited: dict[str, Endpoint], cast: Cast) -> None:
    services.find_drift(edited["flat"].cluster)
    for row in edited.values():
        services.accept(cast.actor("alice"), again(row))
        until(again(row), plans_nothing)  # some of it restarts the pods, one after the other
    assert (again(edited["flat"]).replicas, again(edited["wide"]).replicas) == (3, 2), "what was scaled is the wish now"
    target = target_for(edited["flat"].cluster)
    assert isinstance(target, FindsDrift)
    assert set(target.find_drift([spec_of(again(row)) for row in edited.values()]).values()) == {()}


def test_the_autoscalers_number_is_nobodys_drift_and_stays_when_other_fields_are_put_back(
    endpoints: dict[str, Endpoint], kubectl: Kubectl, sim: Simulator,
) -> None:
    endpoint = endpoints["scaled"]
    scale_as_keda(sim, endpoint, 3)
    kubectl(endpoint, "scale statefulset/{name} --replicas=4")
    assert services.find_drift(endpoint.cluster) == 0
    kubectl(endpoint, "set image statefulset/{name} engine=example.org/other:3")
    assert services.find_drift(endpoint.cluster) == 1
    assert [change["path"] for change in again(endpoint).drift] == [f"{ENGINE}.image"]
    assert stateful_set(sim, endpoint)["spec"]["replicas"] == 4
    assert services.find_drift(endpoint.cluster) == 0


def test_putting_back_while_the_autoscaler_has_not_taken_over_yet_keeps_the_number(
    endpoints: dict[str, Endpoint], kubectl: Kubectl, cast: Cast, sim: Simulator,
) -> None:
    endpoint = endpoints["flat"]
    services.set_autoscale(cast.actor("alice"), endpoint, SCALED)
    endpoint = until(again(endpoint), lambda row: row.status == Status.INSERVICE and row.autoscaled_replicas == 2)
    kubectl(endpoint, "set image statefulset/{name} engine=example.org/other:5")
    assert services.find_drift(endpoint.cluster) == 1
    assert services.find_drift(endpoint.cluster) == 0
    assert stateful_set(sim, endpoint)["spec"]["replicas"] == 2


def numbers(sim: Simulator, row: Endpoint) -> tuple[int, int]:
    """Replicas and partition: what an update goes by."""
    live = stateful_set(sim, row)["spec"]
    return live["replicas"], live["updateStrategy"]["rollingUpdate"]["partition"]


def is_new(row: Endpoint) -> bool:
    return row.status == Status.INSERVICE and row.serving is not None and row.serving.number == 2


def test_an_update_on_its_way_is_no_drift_though_somebody_else_writes_too(
    endpoints: dict[str, Endpoint], kubectl: Kubectl, cast: Cast, sim: Simulator,
) -> None:
    """Somebody's own annotation makes the portal look closely; partition and the one replica too many are its own."""
    endpoint, seen = endpoints["flat"], set()
    kubectl(endpoint, "annotate statefulset/{name} who=me --field-manager=somebody")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})

    def is_through(row: Endpoint) -> bool:
        seen.add(numbers(sim, row))
        assert services.find_drift(row.cluster) == 0, again(row).drift
        return is_new(row)

    until(again(endpoint), is_through)
    assert {(3, 2), (3, 1)} & seen, "it was seen on its way"
    assert not again(endpoint).corrections


def test_what_is_put_back_in_the_midst_of_an_update_does_not_disturb_it(
    endpoints: dict[str, Endpoint], kubectl: Kubectl, cast: Cast, sim: Simulator,
) -> None:
    endpoint = endpoints["flat"]
    slow = sim.pods_fail(name=f"{endpoint.external_name}-2", as_="slow:30s")
    services.update(cast.actor("alice"), endpoint, arguments={"max-model-len": 128})
    until(again(endpoint), lambda row: numbers(sim, row) == (3, 2))
    kubectl(endpoint, "set image statefulset/{name} engine=example.org/other:4")
    assert services.find_drift(endpoint.cluster) == 1
    assert [change["path"] for change in again(endpoint).drift] == [f"{ENGINE}.image"]
    assert numbers(sim, endpoint) == (3, 2), "the old replicas go on serving"
    assert services.find_drift(endpoint.cluster) == 0
    slow.remove()
    until(again(endpoint), is_new)


def test_the_number_of_replicas_is_accepted_as_a_wish_and_cannot_be_left_to_others(
    endpoints: dict[str, Endpoint], kubectl: Kubectl, cast: Cast,
) -> None:
    endpoint = endpoints["flat"]
    Endpoint.objects.update(drift_policy=DriftPolicy.REPORT)
    kubectl(endpoint, "scale statefulset/{name} --replicas=3")
    services.find_drift(endpoint.cluster)
    with pytest.raises(Conflict, match="one owner"):
        services.ignore(cast.actor("alice"), again(endpoint))
    services.accept(cast.actor("alice"), again(endpoint))
    assert in_service(again(endpoint)).replicas == 3
    services.scale(cast.actor("alice"), again(endpoint), 2)
    assert in_service(again(endpoint)).ready_replicas == 2, "the portal's scaling still works"
