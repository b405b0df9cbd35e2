"""The figures that an engine's surroundings keep: calls, how long they take, how many run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from prometheus_client.parser import text_string_to_metric_families

from .base import Spec

# As HyperPod's operator names them (document 003); other kinds of place tell theirs under the same names.
INVOCATIONS, CONCURRENT = "model_invocations_total", "model_concurrent_requests"
LATENCY, FIRST_BYTE = "model_latency_milliseconds", "model_ttfb_milliseconds"
NAMES = (INVOCATIONS, LATENCY, FIRST_BYTE, CONCURRENT)


@dataclass(frozen=True)
class Measured:
    """Each of NAMES with its value, None where it isn't kept. Milliseconds are means; `period` says since when.

    `missing` says in a sentence why figures are not there.
    """

    values: dict[str, float | None]
    source: str
    looked_at: datetime
    period: str = ""
    missing: str = ""


@runtime_checkable
class Measures(Protocol):
    """A place that keeps figures of calls."""

    def measure(self, spec: Spec) -> Measured:
        """The figures of now. Raises TargetError."""


def read_figures(texts: Iterable[str]) -> dict[str, float | None]:
    """From what each replica exposes in Prometheus' text format: sums of counts, means of times weighted by calls.

    What is no number, such as a quantile of no calls, is left out: JSON has no word for it. Raises ValueError for text that
    is not in the format.
    """
    totals: dict[str, float] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            for sample in filter(lambda each: math.isfinite(each.value), family.samples):
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
                totals[f"{sample.name} samples"] = totals.get(f"{sample.name} samples", 0.0) + 1
    return {INVOCATIONS: totals.get(INVOCATIONS), LATENCY: _mean(totals, LATENCY), FIRST_BYTE: _mean(totals, FIRST_BYTE),
            CONCURRENT: totals.get(CONCURRENT)}


def _mean(totals: dict[str, float], name: str) -> float | None:
    """Of a histogram or summary by its sum and count, else the mean of plain samples."""
    count = totals.get(f"{name}_count")
    if count:
        return totals.get(f"{name}_sum", 0.0) / count
    if name in totals:
        return totals[name] / totals[f"{name} samples"]
    return None
