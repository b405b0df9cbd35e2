"""What of an engine tells that it needs more replicas, as PromQL by the metrics' real names (facts.md 4.3).

A queue is added up and compared per replica (AverageValue: KEDA divides by the replicas itself); a share or a
time is compared as it stands (Value). `avg()` under AverageValue would divide twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PODS = "{pods}"
# How each engine calls its queue, and the requests that it answers now.
WAITING = {"vllm": "vllm:num_requests_waiting", "sglang": "sglang:num_queue_reqs"}
RUNNING = {"vllm": "vllm:num_requests_running", "sglang": "sglang:num_running_reqs"}
# Quantiles of no calls are NaN, which is no number for an autoscaler; a comparison drops it.
_P95 = "histogram_quantile(0.95, sum by (le) (rate({metric}_bucket{pods}[2m]))) >= 0"


def _p95(metric: str) -> str:
    return _P95.replace("{metric}", metric)


def _avg(*metrics: str) -> str:
    return " or ".join(f"avg({metric}{PODS})" for metric in metrics)


@dataclass(frozen=True)
class Signal:
    """`queries` by engine; `metric_type` as KEDA compares it; `threshold` a sensible first value."""

    label: str | Promise
    help: str | Promise
    metric_type: str
    threshold: str
    queries: Mapping[str, str]


_GPU = _avg("DCGM_FI_DEV_GPU_UTIL")

SIGNALS: Mapping[str, Signal] = MappingProxyType({
    "waiting": Signal(
        _("waiting requests"), _("Requests in the queue, for each replica: the best sign that more are needed."),
        "AverageValue", "5", {engine: f"sum({name}{PODS})" for engine, name in WAITING.items()}),
    "running": Signal(
        _("running requests"), _("Requests being answered, for each replica."),
        "AverageValue", "32",
        {engine: f"sum({name}{PODS})" for engine, name in RUNNING.items()}),
    "kv-cache": Signal(
        _("use of the KV cache"), _("Share of the cache in use, 0 to 1, on average."),
        "Value", "0.8", {"vllm": _avg("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
                         "sglang": _avg("sglang:token_usage")}),
    "ttft-p95": Signal(
        _("time to the first token"), _("Seconds in which 95 of 100 requests get their first token."),
        "Value", "2", {"vllm": _p95("vllm:time_to_first_token_seconds"), "sglang": _p95("sglang:time_to_first_token_seconds")}),
    "latency-p95": Signal(
        _("time of a whole answer"), _("Seconds in which 95 of 100 requests are answered."),
        "Value", "30", {"vllm": _p95("vllm:e2e_request_latency_seconds"),
                        "sglang": _p95("sglang:e2e_request_latency_seconds")}),
    "gpu": Signal(
        _("use of the GPUs"), _("Per cent, on average, where NVIDIA's DCGM exporter runs. It says little about a queue."),
        "Value", "90", {"vllm": _GPU, "sglang": _GPU, "lmi": _GPU}),
})

# Names that people write, and the signal that they mean. The first two are in the VLLMCluster guide and in no engine.
MEANT: Mapping[str, str] = MappingProxyType({
    "vllm_request_queue_size": "waiting", "vllm_queue_size": "waiting",
    "vllm_num_requests_waiting": "waiting", "vllm:num_requests_waiting": "waiting",
    "vllm_num_requests_running": "running", "vllm:num_requests_running": "running",
    "vllm_gpu_cache_usage_perc": "kv-cache", "vllm:gpu_cache_usage_perc": "kv-cache",
    "vllm_kv_cache_usage_perc": "kv-cache", "vllm:kv_cache_usage_perc": "kv-cache",
    "vllm:time_to_first_token_seconds": "ttft-p95", "vllm:e2e_request_latency_seconds": "latency-p95",
    "DCGM_FI_DEV_GPU_UTIL": "gpu",
})
GHOSTS: Mapping[str, str] = MappingProxyType({
    "vllm_request_queue_size": "vllm:num_requests_waiting", "vllm_queue_size": "vllm:num_requests_waiting",
})
# A query by the engine's own metrics has no value while no replica runs, so it can't start the first one.
_OF_THE_ENGINE = re.compile(r"\b(?:vllm|sglang):|\bDCGM_")


# What follows the workload's name in the names of its pods: of a StatefulSet or LeaderWorkerSet's leaders, of a Deployment.
NUMBERED, HASHED = "[0-9]+", "[a-z0-9]+-[a-z0-9]+"


def query(engine: str, signal: str, namespace: str, name: str, tail: str = NUMBERED) -> str:
    """The query for the pods of a workload. Raises KeyError."""
    pods = f'{{namespace="{namespace}",pod=~"{name.replace(".", "[.]")}-{tail}"}}'
    return SIGNALS[signal].queries[engine].replace(PODS, pods)


def query_of_model(engine: str, signal: str, model: str) -> str:
    """The query for whatever pods serve this model, by the engine's own label. Raises KeyError."""
    return SIGNALS[signal].queries[engine].replace(PODS, f'{{model_name="{model}"}}')


def is_of_the_engine(text: str) -> bool:
    """Whether this query asks the replicas themselves."""
    return _OF_THE_ENGINE.search(text) is not None
