"""What engines themselves tell of their work: the page of figures that each has, in Prometheus' text format."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from endpoints.autoscale.signals import RUNNING, WAITING

from .base import Spec

PATH = "/metrics"
MOST_BYTES = 2 * 1024 * 1024
SECONDS, MOST_SECONDS, MOST_ENGINES = 2.0, 4.0, 16
CACHE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage")
PROMPT, WRITTEN = ("vllm:prompt_tokens_total", "sglang:prompt_tokens_total"), (
    "vllm:generation_tokens_total", "sglang:generation_tokens_total")
NAMES = frozenset({*WAITING.values(), *RUNNING.values(), *CACHE, *PROMPT, *WRITTEN})

_pool = urllib3.PoolManager(num_pools=64, maxsize=2, retries=False, timeout=SECONDS)


@runtime_checkable
class ShowsEngines(Protocol):
    """A place where the portal can read its engines' pages."""

    def engine_pages(self, spec: Spec) -> list[str]:
        """Of each replica that answers, up to MOST_ENGINES. Raises TargetError."""


@dataclass(frozen=True)
class EngineFigures:
    """Of all replicas together. `cache` is the share of the KV cache in use, 0 to 1, on average; tokens are counters."""

    engines: int = 0
    running: float | None = None
    waiting: float | None = None
    cache: float | None = None
    prompt_tokens: float | None = None
    written_tokens: float | None = None


def read_engines(texts: Iterable[str]) -> EngineFigures:
    """Pure. A page in another format tells nothing."""
    values: dict[str, list[float]] = {}
    engines = 0
    for text in texts:
        with suppress(ValueError):
            _read(text, values)
            engines += 1
    return EngineFigures(
        engines, _sum(values, RUNNING.values()), _sum(values, WAITING.values()), _mean(values, CACHE),
        _sum(values, PROMPT), _sum(values, WRITTEN))


def _read(text: str, values: dict[str, list[float]]) -> None:
    kept = "\n".join(line for line in text.splitlines() if line.startswith(("vllm:", "sglang:")))
    for family in text_string_to_metric_families(f"{kept}\n"):
        for sample in family.samples:
            if sample.name in NAMES and math.isfinite(sample.value):
                values.setdefault(sample.name, []).append(sample.value)


def _sum(values: dict[str, list[float]], names: Iterable[str]) -> float | None:
    found = [value for name in names for value in values.get(name, ())]
    return sum(found) if found else None


def _mean(values: dict[str, list[float]], names: Iterable[str]) -> float | None:
    found = [value for name in names for value in values.get(name, ())]
    return sum(found) / len(found) if found else None


def fetch_pages(addresses: Iterable[tuple[str, str]]) -> list[str]:
    """GET the page behind each (http address, token), one after the other, no more after MOST_SECONDS; silent ones are
    left out.
    """
    texts, end = [], time.monotonic() + MOST_SECONDS
    for address, token in list(addresses)[:MOST_ENGINES]:
        if time.monotonic() > end:
            break
        with suppress(urllib3.exceptions.HTTPError):
            texts += _fetched(address, token)
    return texts


def _fetched(address: str, token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = _pool.request("GET", f"{address.rstrip('/')}{PATH}", headers=headers, preload_content=False, redirect=False)
    try:
        body = answer.read(MOST_BYTES)
    finally:
        answer.release_conn()
    return [body.decode(errors="replace")] if answer.status == 200 else []
