"""The operators whose kinds the portal uses, played; a simulator starts those that it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .datasets import Datasets
from .gateways import Gateways
from .hyperpod import HyperPod
from .keda import Keda
from .leaderworkersets import LeaderWorkerSets

OPERATORS: dict[str, Callable[[Any], Any]] = {
    "keda": Keda,
    "leaderworkerset": LeaderWorkerSets,
    "dataset": Datasets,
    "gateway": Gateways,
    "hyperpod": HyperPod,
}
"""By name: each is made with the `Controllers` that it works beside."""
