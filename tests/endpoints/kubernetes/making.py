"""Specs and places for tests of the Kubernetes target; every value can be overridden."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from clusters.units import GIB
from endpoints.targets.base import Autoscale, Origin, Placement, Resources, RevisionSpec, Spec, Trigger, Weights
from endpoints.targets.kubernetes.place import PlaceView

UID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
PLACE = PlaceView(name="lab", server="https://10.0.0.1:6443", api_addresses=("10.0.0.1", "fd00::1"))
EVERYTHING = frozenset({"keda", "keda_http", "gateway", "lws", "prometheus"})
FULL = replace(PLACE, capabilities=EVERYTHING, gateway="gateways/main", prometheus="http://prometheus.monitoring:9090",
               cors_origins=("https://chat.example.org",))


def revision(**values: Any) -> RevisionSpec:
    given = {
        "number": 1, "engine": "vllm", "release": "vllm-cpu-0.32.0", "device": "cpu", "task": "chat",
        "artifact_kind": "huggingface", "artifact_location": "Qwen/Qwen3-0.6B", "artifact_revision": "c" * 40,
        "arguments": {"dtype": "bfloat16", "max-model-len": 4096}, "environment": {"VLLM_CPU_KVCACHE_SPACE": "4"},
        "resources": Resources(cpu_millis=4000, memory_bytes=7 * GIB), "start_seconds": 900,
        "image": "registry.example.org/vllm-cpu@sha256:" + "a" * 64, "weights_bytes": 1_503_300_328, **values,
    }
    return RevisionSpec(**given)


def gpu_revision(gpus: int = 1, nodes: int = 1, **values: Any) -> RevisionSpec:
    parallel = {"tensor-parallel-size": gpus} if gpus > 1 else {}
    return revision(**{
        "release": "vllm-0.32.0", "device": "cuda", "image": "vllm/vllm-openai:v0.32.0", "environment": {},
        "arguments": {"gpu-memory-utilization": 0.9, **parallel},
        "resources": Resources(cpu_millis=8000, memory_bytes=64 * GIB, gpus=gpus, nodes=nodes, gpu_memory_bytes=80 * GIB),
        **values})


def spec(wanted: RevisionSpec | None = None, **values: Any) -> Spec:
    given = {
        "uid": UID, "name": "chat", "external_name": "chat-0123456789", "workspace": "alpha", "cluster_id": 1,
        "public_name": "qwen3-0.6b", "generation": 1, "replicas": 1, "wanted": wanted or revision(),
        "namespace": "ip-alpha-abcdef0123", "engine_key": "engine-key-of-this-endpoint", **values,
    }
    return Spec(**given)


SCALED = Autoscale(min_replicas=1, max_replicas=5, triggers=(
    Trigger("prometheus", {"signal": "waiting", "threshold": "10"}, "AverageValue"),))
OWNED = Origin("VLLMCluster", "training.distributed-inference.io/v1alpha1", "default", "my-vllm-cluster",
               "8f14e45f-ceea-467f-a8f0-1c2d3e4f5a6b")
V100 = Placement({"accelerator": "nvidia-tesla-v100"},
                 ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},), "high", "nvidia")
LOADED = Weights("qwen3-0-6b", "c" * 12)
