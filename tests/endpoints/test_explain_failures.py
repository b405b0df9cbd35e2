"""Failures injected into a simulated cluster and into hosts, as real ones show them: is the first cause the right one?

docs/explain.md lists the same failures. Each goes the whole way: a wish, the steps of the keeper, the cluster's own
controllers, the evidence, the ranking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from clusters.drivers import kube
from clusters.models import Cluster, Engine, Host, Node
from clusters.namespaces import workspace_namespace
from clusters.services.inventory_kube import refresh_inventory
from clusters.services.namespaces import ensure_namespace
from clusters.states import Phase
from endpoints import services
from endpoints.explaining import Explanation
from endpoints.models import Endpoint
from endpoints.states import Cause
from models_catalog.choices import ArtifactKind, Device, EngineKind
from models_catalog.models import Artifact, EngineRelease, Profile
from tests.cast import GIB, Cast, make_cluster, make_host, make_model, make_profile
from tests.endpoints.agent_play import lose_host
from tests.endpoints.test_explaining import LOGS
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.client import Refused
from tests.simulators.kubernetes.controllers import OPERATORS, cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db
IMAGE = "registry.example.org/vllm@sha256:" + "a" * 64
PATIENCE = 40.0
DOCS = Path(__file__).resolve().parents[2] / "docs" / "explain.md"


def taint(key: str, value: str) -> dict[str, str]:
    return {"key": key, "value": value, "effect": "NoSchedule"}


def on(pool: str, *taints: str) -> dict[str, Any]:
    """The placement of a profile: nodes of this pool, whatever these taints say."""
    return {"node_selector": {"pool": pool}, "tolerations": [{"key": key, "operator": "Exists"} for key in taints]}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    """Time runs twenty times as fast in it, so that back-offs and lost nodes come within seconds. No KEDA: tests are it."""
    nodes = [
        gpu_node("gpu-a"), cpu_node("cpu-a"),
        gpu_node("gpu-fake", gpus=2, labels={"pool": "fake", "run.ai/fake.gpu": "true"}, taints=[taint("fake", "true")]),
        cpu_node("cpu-lost", labels={"pool": "lost"}, taints=[taint("lost", "true")]),
        gpu_node("gpu-kept", labels={"pool": "kept"}, taints=[taint("dedicated", "training")]),
    ]
    with Simulator(nodes=nodes, speed=20.0, operators=[name for name in OPERATORS if name != "keda"]) as running:
        yield running


@dataclass
class Scene:
    """A place in the simulator, and what a test does to it."""

    sim: Simulator
    cast: Cast
    place: Cluster
    undo: ExitStack

    @property
    def namespace(self) -> str:
        return workspace_namespace(self.cast.alpha)

    def prepare(self) -> None:
        ensure_namespace(kube.kube_for(self.place), self.place, self.cast.alpha, restricted=True)

    def fail(self, as_: str, **logs: str) -> None:
        handle = self.sim.pods_fail(self.namespace, as_=as_, **logs)
        self.undo.callback(handle.remove)

    def fault(self, *args: Any, **what: Any) -> None:
        fault = self.sim.fault(*args, **what)
        self.undo.callback(fault.remove)

    def deploy(self, *, replicas: int = 1, **profile: Any) -> Endpoint:
        row = services.create(self.cast.actor("alice"), self.cast.alpha, name="chat", cluster=self.place,
                              profile=kube_profile(**profile), replicas=replicas)
        refresh_inventory(self.place)
        services.reconcile(row.pk)
        return row

    def put(self, plural: str, manifest: dict[str, Any]) -> None:
        self.sim.client().create(plural, manifest)


def kube_profile(**values: Any) -> Profile:
    model = make_model("tiny-kube")
    artifact = Artifact.objects.create(model=model, kind=ArtifactKind.HUGGING_FACE, location="org/model", revision="c" * 40)
    release = EngineRelease.objects.create(slug="vllm-kube-test", kind=EngineKind.VLLM, version="0.32.0",
                                           device=Device.CUDA if values.get("gpus") else Device.CPU, image=IMAGE)
    return Profile.objects.create(**{"slug": "tiny-kube", "model": model, "artifact": artifact, "release": release, "name": "K",
                                     "cpu_millis": 1000, "memory_bytes": 2 * GIB, "start_seconds": 600, **values})


@pytest.fixture
def scene(sim: Simulator, cast: Cast) -> Iterator[Scene]:
    with ExitStack() as undo:
        made = Scene(sim, cast, make_kubernetes_place(sim, capabilities={"keda": {"found": True}}), undo)
        yield made
        undo.close()
        clear_namespace(sim, made.namespace)


def clear_namespace(sim: Simulator, namespace: str) -> None:
    """Free what the test's pods held, before the next one asks for it."""
    with suppress(Refused):
        sim.client().delete("v1", "namespaces", "", namespace)
    until = time.monotonic() + PATIENCE
    while any(one["metadata"]["name"] == namespace for one in sim.client().list("v1", "namespaces")):
        assert time.monotonic() < until, f"{namespace} does not go"
        time.sleep(0.05)


def explained(row: Endpoint, rule: str) -> Explanation:
    """What is said of it once its cluster has come to rest: the rule, and the same again a moment later."""
    until = time.monotonic() + PATIENCE
    while True:
        services.reconcile(row.pk)
        row.refresh_from_db()
        found = services.explain(row)
        if found.first.rule == rule or time.monotonic() > until:
            break
        time.sleep(0.1)
    time.sleep(0.3)
    services.reconcile(row.pk)
    row.refresh_from_db()
    return services.explain(row)


def crash(log: str, code: int = 1, **profile: Any) -> Callable[[Scene], Endpoint]:
    def make(scene: Scene) -> Endpoint:
        text = f"INFO 01-02 03:04:05 [api_server.py:1] vLLM API server version 0.20.2\n{log}\n"
        scene.fail(f"crash:{code}", log=text, previous_log=text)
        return scene.deploy(**profile)
    return make


def state(as_: str, **profile: Any) -> Callable[[Scene], Endpoint]:
    def make(scene: Scene) -> Endpoint:
        scene.fail(as_)
        return scene.deploy(**profile)
    return make


def asks(**profile: Any) -> Callable[[Scene], Endpoint]:
    return lambda scene: scene.deploy(**profile)


def on_fake_gpu(scene: Scene) -> Endpoint:
    """The Hydra document's trap: the GPU check passes, then CUDA finds nothing."""
    return crash(LOGS["no_device"], gpus=1, placement=on("fake", "fake"))(scene)


def all_taken(scene: Scene) -> Endpoint:
    """Another team's pods hold every GPU of the only node that would do."""
    scene.put("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"other-{scene.place.uid.hex[-6:]}",
                                                                       "namespace": "default"},
                       "spec": {"nodeName": "gpu-a", "containers": [{"name": "c", "image": "x", "resources": {
                           "requests": {"nvidia.com/gpu": "8"}, "limits": {"nvidia.com/gpu": "8"}}}]}})
    scene.undo.callback(scene.sim.client().delete, "v1", "pods", "default", f"other-{scene.place.uid.hex[-6:]}")
    return scene.deploy(gpus=4)


def over_quota(scene: Scene) -> Endpoint:
    scene.prepare()
    scene.put("resourcequotas", {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {
        "name": "few", "namespace": scene.namespace}, "spec": {"hard": {"requests.cpu": "500m"}}})
    return scene.deploy()


def over_limit_range(scene: Scene) -> Endpoint:
    scene.prepare()
    scene.put("limitranges", {"apiVersion": "v1", "kind": "LimitRange", "metadata": {
        "name": "small", "namespace": scene.namespace}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}})
    return scene.deploy()


def name_taken(scene: Scene) -> Endpoint:
    scene.prepare()
    row = services.create(scene.cast.actor("alice"), scene.cast.alpha, name="chat", cluster=scene.place, profile=kube_profile())
    scene.put("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": row.external_name, "namespace": scene.namespace}})
    return row


def node_lost(scene: Scene) -> Endpoint:
    row = scene.deploy(placement=on("lost", "lost"))
    explained(row, "all_ready")
    scene.sim.client().patch("v1", "nodes", "", "cpu-lost", {"metadata": {"annotations": {"test.kubelet/down": "true"}}})
    scene.undo.callback(scene.sim.client().patch, "v1", "nodes", "", "cpu-lost",
                        {"metadata": {"annotations": {"test.kubelet/down": None}}})
    return row


def scaler_broken(scene: Scene) -> Endpoint:
    """KEDA writes the status of its object; here the test is KEDA."""
    row = scene.deploy()
    services.set_autoscale(scene.cast.actor("alice"), row, {
        "min_replicas": 1, "max_replicas": 2, "triggers": [
            {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus.monitoring:9090", "query": "up",
                                                "threshold": "1"}}]})
    explained(row, "all_ready")
    scene.sim.client().patch("keda.sh/v1alpha1", "scaledobjects", scene.namespace, f"{row.external_name}-scaler", {"status": {
        "conditions": [{"type": "Ready", "status": "False", "reason": "ScaledObjectCheckFailed",
                        "message": "error establishing a client to Prometheus: no such host"}]}}, subresource="status")
    return row


def after(act: Callable[[Scene], None]) -> Callable[[Scene], Endpoint]:
    """Something happens to the cluster when the endpoint is there already."""
    def make(scene: Scene) -> Endpoint:
        row = scene.deploy()
        act(scene)
        return row
    return make


def no_right(scene: Scene) -> None:
    scene.fault(path="*/pods*", status=403, message='pods is forbidden: User "portal" cannot list resource "pods" in API group '
                                                    f'"" in the namespace "{scene.namespace}"')


def revoked(scene: Scene) -> None:
    access = scene.place.access
    access.put_secret("token", "of-yesterday")
    access.save()
    kube.forget(scene.place)


CLUSTER: dict[str, tuple[str, Cause, Callable[[Scene], Endpoint]]] = {
    "the image can't be pulled": ("image_unauthorised", Cause.IMAGE, state("ImagePullBackOff")),
    "the image's name can't be read": ("image_name", Cause.IMAGE, state("InvalidImageName")),
    "the image is not on the node": ("image_never", Cause.IMAGE, state("ErrImageNeverPull")),
    "a secret is missing": ("secret_missing", Cause.SECRET, state("CreateContainerConfigError")),
    "the container can't be started": ("config_error", Cause.INVALID, state("RunContainerError")),
    "killed for its memory": ("out_of_memory", Cause.MEMORY, crash("INFO Loading weights took 3 s", 137)),
    "the node threw it out": ("evicted", Cause.EVICTED, state("evicted")),
    "its health check fails": ("probe", Cause.PROBE, state("notready")),
    "its volume is not bound": ("claim_unbound", Cause.VOLUME, state("pvc")),
    "it is only slow": ("starting", Cause.LOADING, state("slow:3000s")),
    "all GPUs are taken": ("no_gpu", Cause.UNSCHEDULABLE, all_taken),
    "more GPUs than a node has": ("no_gpu_ever", Cause.UNSCHEDULABLE, asks(gpus=16)),
    "more memory than a node has": ("no_memory", Cause.UNSCHEDULABLE, asks(memory_bytes=9000 * GIB)),
    "more CPUs than a node has": ("no_cpu", Cause.UNSCHEDULABLE, asks(cpu_millis=999_000)),
    "no node has the label": ("selector_of_none", Cause.UNSCHEDULABLE, asks(placement=on("none"))),
    "a taint is not tolerated": ("all_tainted", Cause.UNSCHEDULABLE, asks(gpus=4, placement=on("kept"))),
    "a quota is used up": ("quota", Cause.QUOTA, over_quota),
    "a limit range refuses": ("limit_range", Cause.QUOTA, over_limit_range),
    "the name is taken": ("name_taken", Cause.NAME_TAKEN, name_taken),
    "the node is lost": ("node_lost", Cause.HOST_LOST, node_lost),
    "the autoscaler can't read its trigger": ("scaled_object", Cause.AUTOSCALER, scaler_broken),
    "simulated GPUs": ("log_no_device_simulated", Cause.NO_DEVICE, on_fake_gpu),
    "no GPU in the container": ("log_no_device", Cause.NO_DEVICE, crash(LOGS["no_device"])),
    "the GPU's memory runs out": ("log_gpu_memory_sum", Cause.MEMORY, crash(LOGS["gpu_memory_sum"], gpus=1)),
    "the context is too long": ("log_context_needs", Cause.MEMORY, crash(LOGS["context_needs"], gpus=1)),
    "the weights leave no cache": ("log_no_cache_memory", Cause.MEMORY, crash(LOGS["no_cache_memory"], gpus=1)),
    "the model is gated": ("log_gated", Cause.GATED, crash(LOGS["gated"])),
    "the model does not exist": ("log_model_missing", Cause.MODEL_MISSING, crash(LOGS["model_missing"])),
    "the hub can't be reached": ("log_hub_offline", Cause.HUB, crash(LOGS["hub_offline"])),
    "a removed argument": ("log_device_flag", Cause.BAD_ARGUMENT, crash(LOGS["device_flag"], 2)),
    "an unknown argument": ("log_unknown_argument", Cause.BAD_ARGUMENT, crash(LOGS["unknown_argument"], 2)),
    "the model brings code": ("log_remote_code", Cause.REFUSED, crash(LOGS["remote_code"])),
    "heads and GPUs don't divide": ("log_heads", Cause.BAD_ARGUMENT, crash(LOGS["heads"], gpus=8)),
    "more GPUs asked for than given": ("log_too_few_gpus", Cause.BAD_ARGUMENT, crash(LOGS["too_few_gpus"], gpus=2)),
    "AWQ on a V100": ("log_quantisation_capability", Cause.NOT_SUPPORTED, crash(LOGS["quantisation_capability"], gpus=1)),
    "bfloat16 on a V100": ("log_bfloat16", Cause.NOT_SUPPORTED, crash(LOGS["bfloat16"], gpus=1)),
    "the architecture is unknown": ("log_not_supported", Cause.NOT_SUPPORTED, crash(LOGS["not_supported"])),
    "a tokenizer is missing": ("log_tokenizer", Cause.MODEL_MISSING, crash(LOGS["tokenizer"])),
    "the weights are incomplete": ("log_incomplete", Cause.MODEL_MISSING, crash(LOGS["incomplete"])),
    "the port is taken": ("log_port_in_use", Cause.ERROR, crash(LOGS["port_in_use"])),
    "the disk is full": ("log_disk_full", Cause.DISK_FULL, crash(LOGS["disk_full"])),
    "the GPUs can't talk": ("log_nccl", Cause.NETWORK, crash(LOGS["nccl"], gpus=2)),
    "it ends and says nothing": ("ended", Cause.CRASH_LOOP, crash("bye", 3)),
    "the cluster can't be reached": ("unreachable", Cause.UNREACHABLE, after(lambda scene: scene.fault(reset=True))),
    "the token is refused": ("credential", Cause.AUTH, after(revoked)),
    "a right is missing": ("forbidden", Cause.FORBIDDEN, after(no_right)),
}


@pytest.mark.parametrize("failure", CLUSTER)
def test_a_failure_in_a_cluster_is_explained(scene: Scene, failure: str) -> None:
    rule, cause, inject = CLUSTER[failure]
    found = explained(inject(scene), rule)
    said = [(one.rule, one.weight, one.sentence) for one in (found.first, *found.others)]
    assert (found.first.rule, found.cause) == (rule, cause), said
    assert "?" not in found.sentence + found.next_step
    assert found.seen.unread == () or rule in ("forbidden", "node_lost")


# On hosts the agent's report is played; the agent itself has its own tests.

def _engines(row: Endpoint, **values: Any) -> None:
    services.reconcile(row.pk)
    Engine.objects.filter(endpoint_uid=row.uid).update(phase_since=timezone.now(), reported_at=timezone.now(), **values)


def crashed(log: str, cause: str, code: int = 1) -> Callable[[Endpoint, Host], None]:
    return lambda row, host: _engines(row, phase=Phase.CRASHLOOP, restarts=5, exit_code=code, cause=cause,
                                      message="as the agent says it", previous_log=log)


def lost(row: Endpoint, host: Host) -> None:
    services.reconcile(row.pk)
    lose_host(host)


def full_disk(row: Endpoint, host: Host) -> None:
    _engines(row, phase=Phase.ASSIGNED)
    Host.objects.update(conditions=[{"type": "DiskPressure", "message": "Less than 2 GiB of disk are free."}])


HOSTS: dict[str, tuple[str, Cause, Callable[[Endpoint, Host], None]]] = {
    "no host has room": ("no_room", Cause.NO_ROOM, lambda row, host: Node.objects.update(memory_bytes=GIB) and None),
    "the host is lost": ("host_lost", Cause.HOST_LOST, lost),
    "the host's disk is full": ("host_disk", Cause.DISK_FULL, full_disk),
    "an engine refuses an argument": ("log_device_flag", Cause.BAD_ARGUMENT, crashed(LOGS["device_flag"], "bad_argument", 2)),
    "an engine's context is too long": ("log_context_needs", Cause.MEMORY, crashed(LOGS["context_needs"], "context_too_long")),
    "an engine was killed": ("agent_killed", Cause.MEMORY, crashed("INFO loading", "killed", 137)),
    "an engine was not ready in time": ("agent_too_slow", Cause.DEADLINE, crashed("INFO loading", "too_slow")),
    "a release is not installed": ("agent_cannot_start", Cause.REFUSED, lambda row, host: _engines(
        row, phase=Phase.CRASHLOOP, cause="cannot_start", message="The release vllm-9 is not installed.")),
}


@pytest.mark.parametrize("failure", HOSTS)
def test_a_failure_on_a_host_is_explained(cast: Cast, failure: str) -> None:
    rule, cause, inject = HOSTS[failure]
    place = make_cluster()
    host = make_host(place)
    row = services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=place, profile=make_profile())
    inject(row, host)
    row.refresh_from_db()
    found = services.explain(row)
    assert (found.first.rule, found.cause) == (rule, cause), [(one.rule, one.weight) for one in (found.first, *found.others)]
    assert "?" not in found.sentence + found.next_step


def test_the_documentation_lists_every_injected_failure() -> None:
    text = DOCS.read_text()
    assert [failure for failure in {**CLUSTER, **HOSTS} if f"| {failure} |" not in text] == []
    assert len(CLUSTER) + len(HOSTS) >= 24
