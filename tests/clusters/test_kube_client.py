"""The door to Kubernetes APIs, against the simulated API over TLS."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from clusters.drivers import kinds
from clusters.drivers.kube import DirectTransport, Kube, KubeError, Problem, kube_for
from clusters.drivers.kube_answers import NAMESPACE_MISSING
from tests.kube import make_kubernetes_place
from tests.simulators.kubernetes.server import Simulator

pytestmark = pytest.mark.django_db
SPACE = f"driver-{secrets.token_hex(4)}"


class Meta(msgspec.Struct):
    name: str
    namespace: str = ""


class Named(msgspec.Struct):
    metadata: Meta


@pytest.fixture
def kube(kube_sim: Simulator) -> Kube:
    """With the namespace of these tests, once pods can be made in it."""
    kube = kube_for(make_kubernetes_place(kube_sim))
    if kube.get(kinds.NAMESPACE, "", SPACE) is None:
        kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
        until(lambda: kube.get(kinds.SERVICE_ACCOUNT, SPACE, "default"))
    return kube


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SPACE}, "data": data}


def pod(name: str, log: str = "", **annotations: str) -> dict[str, Any]:
    """A pod that the simulated kubelet plays; see the simulator for its annotations."""
    notes = {f"test.kubelet/{key}": value for key, value in {"log": log, **annotations}.items()}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": SPACE, "annotations": notes},
            "spec": {"containers": [{"name": "c", "image": "registry.example.com/c:1"}]}}


def until(ask: Callable[[], Any]) -> Any:
    """The first answer that is true, within a generous time."""
    end = time.monotonic() + 30
    while not (found := ask()):
        assert time.monotonic() < end, "nothing after 30 s"
        time.sleep(0.02)
    return found


def refusal(call: Callable[[], Any]) -> KubeError:
    with pytest.raises(KubeError) as raised:
        call()
    return raised.value


def test_an_object_lives_from_create_to_delete(kube: Kube) -> None:
    made = kube.create(config_map("life", x="1"))
    assert kube.get(kinds.CONFIG_MAP, SPACE, "life") == made
    changed = kube.merge_patch(kinds.CONFIG_MAP, SPACE, "life", {"data": {"x": "2"}})
    assert changed["data"] == {"x": "2"}
    assert "life" in {item.metadata.name for item in kube.list(kinds.CONFIG_MAP, Named, namespace=SPACE).items}
    assert kube.delete(kinds.CONFIG_MAP, SPACE, "life", uid=made["metadata"]["uid"]) is True
    assert kube.delete(kinds.CONFIG_MAP, SPACE, "life") is False
    assert kube.get(kinds.CONFIG_MAP, SPACE, "life") is None


def test_only_the_object_that_is_meant_is_deleted(kube: Kube) -> None:
    kube.create(config_map("meant"))
    other = "11111111-1111-1111-1111-111111111111"
    assert refusal(lambda: kube.delete(kinds.CONFIG_MAP, SPACE, "meant", uid=other)).problem is Problem.CONFLICT
    assert kube.get(kinds.CONFIG_MAP, SPACE, "meant") is not None


def test_a_name_that_is_taken_is_told_apart(kube: Kube) -> None:
    kube.create(config_map("taken"))
    assert refusal(lambda: kube.create(config_map("taken"))).problem is Problem.EXISTS


def test_applying_twice_changes_nothing_and_a_dry_run_nothing_at_all(kube: Kube) -> None:
    tried = kube.apply(config_map("applied", x="1"), dry_run=True)
    assert tried["data"] == {"x": "1"}
    assert kube.get(kinds.CONFIG_MAP, SPACE, "applied") is None
    first = kube.apply(config_map("applied", x="1"))
    assert kube.apply(config_map("applied", x="1"))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert first["metadata"]["managedFields"][0]["manager"] == "inference-portal"
    assert kube.apply(config_map("applied"))["metadata"]["uid"] == first["metadata"]["uid"]


def test_a_field_of_another_manager_is_a_conflict_that_names_it(kube: Kube, kube_sim: Simulator) -> None:
    kube_sim.client().apply("configmaps", config_map("owned", x="theirs"), manager="helm")
    error = refusal(lambda: kube.apply(config_map("owned", x="ours")))
    assert (error.problem, [(fault.field, fault.message) for fault in error.faults]) == (
        Problem.CONFLICT, [(".data.x", "helm")])
    assert kube.apply(config_map("owned", x="ours"), force=True)["data"] == {"x": "ours"}


def test_what_is_not_there_is_told_apart(kube: Kube) -> None:
    missing = kinds.Kind("nothing.example.com", "v1", "things", "Thing")
    assert refusal(lambda: kube.get(missing, SPACE, "a")).problem is Problem.NO_KIND
    nowhere = {**config_map("a"), "metadata": {"name": "a", "namespace": "no-such"}}
    for change in (kube.create, kube.apply):
        error = refusal(lambda change=change: change(nowhere))  # type: ignore[misc]
        assert (error.problem, error.faults[0].reason) == (Problem.NOT_FOUND, NAMESPACE_MISSING)
    assert kube.get(kinds.CONFIG_MAP, "no-such", "a") is None


def test_an_invalid_object_names_its_fields(kube: Kube) -> None:
    error = refusal(lambda: kube.create(config_map("Bad_Name")))
    assert (error.problem, error.faults[0].field) == (Problem.INVALID, "metadata.name")


def test_a_cluster_says_what_it_serves(kube: Kube) -> None:
    assert kube.version().startswith("v1.")
    assert kube.has(kinds.STATEFUL_SET)
    assert ("v1", "pods") in kube.kinds()


@pytest.mark.needs_simulator
def test_a_cluster_says_which_add_ons_it_has(kube: Kube) -> None:
    assert kube.has(kinds.SCALED_OBJECT)
    assert not kube.has(kinds.SERVICE_MONITOR)


def test_the_administrator_may_everything_and_an_account_what_its_role_says(kube: Kube, kube_sim: Simulator) -> None:
    assert kube.may("patch", kinds.STATEFUL_SET, SPACE)
    assert kube.whoami()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": SPACE}}
    kube.create(account)
    weak = Kube(lambda: DirectTransport(kube_sim.url, ca=kube_sim.ca_pem, token=kube_sim.token_for(SPACE, "weak")))
    assert weak.whoami() == f"system:serviceaccount:{SPACE}:weak"
    assert not weak.may("list", kinds.POD)
    error = refusal(lambda: weak.list(kinds.POD, Named))
    assert (error.problem, error.faults[0].field, error.faults[0].reason) == (Problem.FORBIDDEN, "pods", "list")


@pytest.mark.needs_simulator
def test_a_log_is_read_and_followed(kube: Kube) -> None:
    kube.create(pod("speaks", "one\ntwo\nthree"))
    until(lambda: kube.get(kinds.POD, SPACE, "speaks")["status"].get("phase") == "Running")  # type: ignore[index]
    assert kube.read_log(SPACE, "speaks", "c", lines=2).split() == ["two", "three"]
    assert kube.read_log(SPACE, "speaks", "c", previous=True) == ""
    lines = kube.follow_log(SPACE, "speaks", "c", seconds=5)
    assert next(lines) == "one"
    lines.close()


@pytest.mark.needs_simulator
def test_following_ends_by_itself(kube: Kube) -> None:
    kube.create(pod("endless", "line"))
    until(lambda: kube.get(kinds.POD, SPACE, "endless")["status"].get("phase") == "Running")  # type: ignore[index]
    began = time.monotonic()
    assert list(kube.follow_log(SPACE, "endless", "c", seconds=0.5))[:1] == ["line"]
    assert time.monotonic() - began < 10


def test_the_log_of_a_pod_that_is_not_there_is_an_error(kube: Kube) -> None:
    assert refusal(lambda: kube.read_log(SPACE, "nobody", "c")).problem is Problem.NOT_FOUND
    assert refusal(lambda: list(kube.follow_log(SPACE, "nobody", "c"))).problem is Problem.NOT_FOUND


@pytest.mark.parametrize(("status", "problem"), [(401, Problem.AUTH), (429, Problem.BUSY), (500, Problem.BUSY),
                                                 (503, Problem.BUSY)])
def test_faults_of_the_server_come_and_go(kube: Kube, kube_sim: Simulator, status: int, problem: Problem) -> None:
    fault = kube_sim.fault(method="GET", path="*/secrets", status=status, times=None, retry_after=1)
    try:
        assert refusal(lambda: kube.list(kinds.SECRET, Named, namespace=SPACE)).problem is problem
    finally:
        fault.remove()
    assert kube.list(kinds.SECRET, Named, namespace=SPACE).items is not None
