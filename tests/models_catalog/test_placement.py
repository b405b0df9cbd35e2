from __future__ import annotations

from typing import Any

import pytest

from models_catalog.placement import check_placement
from portal.tenancy.errors import Invalid

GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize(("value", "kept"), [
    ({}, {}),
    ({"node_selector": {}, "tolerations": [], "priority_class": "", "runtime_class": ""}, {}),
    ({"node_selector": {"nvidia.com/gpu.product": "NVIDIA-H200", "accelerator": "nvidia-tesla-v100", "empty": ""}},) * 2,
    ({"tolerations": [GPU, {"key": "dedicated", "operator": "Equal", "value": "llm"}, {"key": "x", "effect": ""}]},
     {"tolerations": [GPU, {"key": "dedicated", "operator": "Equal", "value": "llm"}, {"key": "x"}]}),
    ({"tolerations": [{"key": "slow", "effect": "NoExecute", "tolerationSeconds": 60}]},) * 2,
    ({"priority_class": "llm-high", "runtime_class": "nvidia"},) * 2,
    ({"node_selector": {"kubernetes.io/hostname": "gpu-a.example"}},) * 2,
])
def test_placements_are_kept_without_their_empty_parts(value: Any, kept: Any) -> None:
    assert check_placement(value) == kept
    assert check_placement(check_placement(value)) == kept


@pytest.mark.parametrize(("value", "words"), [
    ([], "object"), ({"nodeSelector": {}}, "no “nodeSelector”"), ({"node_selector": ["a"]}, "object"),
    ({"node_selector": {"a b": "c"}}, "no label"), ({"node_selector": {"-a": "c"}}, "no label"),
    ({"node_selector": {"/a": "c"}}, "no label"), ({"node_selector": {"A.B/c": "d"}}, "no label"),
    ({"node_selector": {"a" * 64: "c"}}, "no label"), ({"node_selector": {"x/" * 200 + "a": "c"}}, "no label"),
    ({"node_selector": {"a": "b c"}}, "value of the label"), ({"node_selector": {"a": 1}}, "value of the label"),
    ({"node_selector": {"a": "b\n"}}, "value of the label"), ({"node_selector": {"a\n": "b"}}, "no label"),
    ({"node_selector": {f"l{n}": "x" for n in range(17)}}, "at most 16"),
    ({"node_selector": {"node-role.kubernetes.io/control-plane": ""}}, "control plane"),
    ({"node_selector": {"node-role.kubernetes.io/master": "true"}}, "control plane"),
    ({"node_selector": {"node.kubernetes.io/role": "control-plane"}}, "control plane"),
    ({"tolerations": {}}, ""), ({"tolerations": {"key": "x"}}, "list"), ({"tolerations": ["x"]}, "object"),
    ({"tolerations": [{"operator": "Exists"}]}, "every taint"), ({"tolerations": [{"key": "", "operator": "Exists"}]}, "every"),
    ({"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}, "control plane"),
    ({"tolerations": [{"key": "x", "operator": "In"}]}, "Exists or Equal"),
    ({"tolerations": [{"key": "x", "operator": "Exists", "value": "y"}]}, "has no value"),
    ({"tolerations": [{"key": "x", "value": 1}]}, "value of a toleration"),
    ({"tolerations": [{"key": "x", "effect": "Never"}]}, "effect"), ({"tolerations": [{"key": "x", "if": "y"}]}, "object with"),
    ({"tolerations": [{"key": "x", "effect": "NoSchedule", "tolerationSeconds": 5}]}, "NoExecute"),
    ({"priority_class": "system-node-critical"}, "belong to the cluster"), ({"priority_class": "High"}, "lower case"),
    ({"runtime_class": "a/b"}, "lower case"), ({"runtime_class": ["x"]}, "lower case"),
])
def test_what_kubernetes_or_we_do_not_take_is_refused(value: Any, words: str) -> None:
    if words == "":
        assert check_placement(value) == {}
        return
    with pytest.raises(Invalid) as error:
        check_placement(value)
    assert words in error.value.message
    assert error.value.field == "placement"
