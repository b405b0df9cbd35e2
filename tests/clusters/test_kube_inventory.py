"""Quantities, what pods reserve, and nodes as rows: pure tables."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from clusters import quantities
from clusters.kube_inventory import Asked, NodeItem, Pod, PodSpec, facts_of, pod_request, requests_by_node
from clusters.namespaces import ENDPOINT_UID, MANAGED_BY, MANAGER
from clusters.units import GIB

MIB = 1024**2
OURS = {MANAGED_BY: MANAGER, ENDPOINT_UID: "0199"}


@pytest.mark.parametrize(("text", "value"), [
    ("0", "0"), ("1", "1"), ("500m", "0.5"), ("1500m", "1.5"), ("1.5", "1.5"), (".5", "0.5"), ("2.", "2"), ("+3", "3"),
    ("-1", "-1"), ("100n", "1e-7"), ("7u", "7e-6"), ("1k", "1000"), ("3M", "3e6"), ("2G", "2e9"), ("1T", "1e12"),
    ("1P", "1e15"), ("1E", "1e18"), ("1e3", "1000"), ("1E3", "1000"), ("12e-1", "1.2"), ("1Ki", "1024"),
    ("1.5Gi", str(1536 * MIB)), ("2Ti", str(2048 * GIB)), ("1Pi", str(1024**5)), ("1Ei", str(1024**6)),
    (4, "4"), (0.25, "0.25"),
])
def test_every_form_of_a_quantity_is_read_exactly(text: Any, value: str) -> None:
    assert quantities.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", [
    "", " ", "1 Gi", "1gi", "1KI", "K", "m", "1mi", "0x10", "1e", "1e9999", "1,5", "NaN", "inf", "--1", "1Gi1", "١", "1" * 50,
    None, True, [], {},
])
def test_what_is_no_quantity_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantities.parse(text)


@pytest.mark.parametrize(("text", "whole", "millis"), [
    ("500m", 1, 500), ("1m", 1, 1), ("1u", 1, 1), ("1001m", 2, 1001), ("4Gi", 4 * GIB, 4000 * GIB), ("0", 0, 0),
])
def test_amounts_are_rounded_up(text: str, whole: int, millis: int) -> None:
    assert (quantities.whole(text), quantities.millis(text)) == (whole, millis)


def one(cpu: str = "", memory: str = "", gpus: str = "", *, limits: bool = False, **more: Any) -> dict[str, Any]:
    """A container that asks for this much."""
    amounts = {"cpu": cpu, "memory": memory, "nvidia.com/gpu": gpus}
    return {"name": "c", "resources": {"limits" if limits else "requests": {k: v for k, v in amounts.items() if v}}, **more}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(("spec", "cpu", "memory", "gpus"), [
    ({"containers": [{"name": "c"}]}, 0, 0, 0),
    ({"containers": [one("500m", "1Gi", "1"), one("250m", "1Gi")]}, 750, 2 * GIB, 1),
    ({"containers": [one("2", "4Gi", "2", limits=True)]}, 2000, 4 * GIB, 2),
    ({"containers": [one("1")], "initContainers": [one("3"), one("2")]}, 3000, 0, 0),
    ({"containers": [one("4")], "initContainers": [one("3")]}, 4000, 0, 0),
    ({"containers": [one("1")], "initContainers": [one("1", **SIDECAR), one("2")]}, 3000, 0, 0),
    ({"containers": [one("1")], "initContainers": [one("2"), one("1", **SIDECAR)]}, 2000, 0, 0),
    ({"containers": [one("1", "1Gi")], "overhead": {"cpu": "250m", "memory": "64Mi"}}, 1250, GIB + 64 * MIB, 0),
    ({"containers": [one("1", "", "1")], "resources": {"requests": {"cpu": "5"}}}, 5000, 0, 1),
    ({"containers": [{"name": "c", "resources": {"requests": {"amd.com/gpu": "4"}}}]}, 0, 0, 4),
    ({"containers": [{"name": "c", "resources": {"requests": {"cpu": "many", "memory": 1024}}}]}, 0, 1024, 0),
])
def test_a_pod_reserves_what_the_scheduler_counts(spec: dict[str, Any], cpu: int, memory: int, gpus: int) -> None:
    found = pod_request(msgspec.convert(spec, PodSpec))
    assert (found["cpu"], found["memory"], found["gpus"]) == (cpu, memory, gpus)


def pod(node: str = "a", phase: str = "Running", labels: dict[str, str] | None = None, gpus: str = "1") -> Pod:
    return msgspec.convert({"metadata": {"name": "p", "labels": labels}, "status": {"phase": phase},
                            "spec": {"nodeName": node, "containers": [one("1", "1Gi", gpus)]}}, Pod)


def test_only_pods_that_hold_a_node_are_counted_ours_and_foreign_apart() -> None:
    pods = [pod(), pod(labels=OURS, gpus="2"), pod(phase="Succeeded"), pod(phase="Failed"), pod(node=""),
            pod(node="b", phase="Pending"), pod(labels={MANAGED_BY: MANAGER}), pod(labels={ENDPOINT_UID: "0199"})]
    found = requests_by_node(pods)
    assert found.keys() == {"a", "b"}
    assert (found["a"].all["gpus"], found["a"].ours["gpus"], found["b"].all["gpus"]) == (5, 2, 1)


READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}


def item(labels: dict[str, str] | None = None, conditions: list[dict[str, str]] | None = None,
         spec: dict[str, Any] | None = None, **allocatable: str) -> NodeItem:
    amounts = {name.replace("__", "/").replace("_", "."): value for name, value in allocatable.items()}
    return msgspec.convert({"metadata": {"name": "n", "labels": labels}, "spec": spec or {},
                            "status": {"allocatable": amounts, "conditions": [READY] if conditions is None else conditions}},
                           NodeItem)


H200 = {"nvidia.com/gpu.product": "NVIDIA-H200", "nvidia.com/gpu.memory": "143771", "nvidia.com/cuda.driver.major": "580"}


def test_a_node_with_gpus_has_one_device_for_each() -> None:
    asked = Asked({"cpu": 1500, "memory": 3 * GIB, "gpus": 3, "disk": GIB}, {"memory": GIB, "gpus": 2})
    found = facts_of(item(H200, cpu="96", memory="1Ti", nvidia_com__gpu="8", **{"ephemeral-storage": "2Ti"}), asked)
    assert found.devices == (("NVIDIA-H200", 143771 * MIB),) * 8
    expected = {"ready": True, "schedulable": True, "message": "", "gpus": 8, "gpus_requested": 3, "gpus_requested_by_us": 2,
                "cpu_millis": 96_000, "cpu_requested_millis": 1500, "memory_bytes": 1024 * GIB, "simulated": False,
                "memory_requested_bytes": 3 * GIB, "memory_requested_by_us": GIB, "memory_used_by_others": 2 * GIB,
                "disk_free_bytes": 2047 * GIB}
    assert {name: found.values[name] for name in expected} == expected
    assert found.values["labels"]["nvidia.com/cuda.driver.major"] == "580"


@pytest.mark.parametrize(("resource", "word"), [
    ("amd_com__gpu", "AMD GPU"), ("huawei_com__Ascend910", "Huawei Ascend 910"), ("aws_amazon_com__neuron", "AWS Neuron"),
    ("nvidia_com__gpu", "NVIDIA GPU"),
])
def test_devices_without_labels_are_named_by_their_vendor(resource: str, word: str) -> None:
    assert facts_of(item(**{resource: "2"})).devices == ((word, 0),) * 2


def test_gpus_of_the_fake_operator_are_simulated() -> None:
    found = facts_of(item({**H200, "nvidia.com/gpu.product": "Tesla-K80", "nvidia.com/gpu.memory": "11441",
                           "run.ai/fake.gpu": "true"}, nvidia_com__gpu="2"))
    assert (found.values["simulated"], found.devices) == (True, (("Tesla-K80", 11441 * MIB),) * 2)


@pytest.mark.parametrize(("conditions", "ready", "message"), [
    ([], False, ""),
    ([{**READY, "status": "Unknown", "reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}], False,
     "Ready: NodeStatusUnknown Kubelet stopped posting node status."),
    ([READY, {"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure", "message": "full"},
      {"type": "MemoryPressure", "status": "False"}], True, "DiskPressure: KubeletHasDiskPressure full"),
])
def test_conditions_say_whether_a_node_is_ready_and_what_is_wrong(
    conditions: list[dict[str, str]], ready: bool, message: str,
) -> None:
    values = facts_of(item(conditions=conditions)).values
    assert (values["ready"], values["message"]) == (ready, message)


def test_a_cordoned_node_shows_its_taints() -> None:
    taint = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    values = facts_of(item(spec={"unschedulable": True, "taints": [taint]})).values
    assert (values["schedulable"], values["taints"]) == (False, [{**taint, "value": ""}])


def test_what_a_stranger_writes_on_a_node_is_cleaned_and_bounded() -> None:
    nasty = {"nvidia.com/gpu.product": "\x1b[31mred\x00", "nvidia.com/gpu.memory": "9" * 39,
             **{f"l{n}": "v" for n in range(500)}}
    found = facts_of(item(nasty, nvidia_com__gpu="1000000000", cpu="1e300", memory="-5"))
    assert len(found.devices) == found.values["gpus"] == 512
    assert (found.values["cpu_millis"], found.values["memory_bytes"], len(found.values["labels"])) == (0, 0, 200)


def test_a_product_name_loses_what_a_terminal_would_obey() -> None:
    assert facts_of(item({"nvidia.com/gpu.product": "\x1b[31mred\x00"}, nvidia_com__gpu="1")).devices == (("red", 0),)
