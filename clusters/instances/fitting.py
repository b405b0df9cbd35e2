"""Which instance types hold a wish, the cheapest first."""

from __future__ import annotations

from decimal import Decimal

from .prices import price_book
from .types import InstanceType, all_types

_DEAR = Decimal("Infinity")


def fitting(
    gpus: int, gpu_memory_bytes: int = 0, *, region: str, vcpus: int = 0, memory_bytes: int = 0, hyperpod: bool = False,
) -> list[InstanceType]:
    """Types with at least so much of everything, by their on-demand price in `region`.

    `gpu_memory_bytes` is that of one GPU; 0 GPUs leaves types with accelerators out. `hyperpod` asks for those that HyperPod
    serves models on, else for those of SageMaker endpoints. Types without a price come last, small ones first.
    """
    book = price_book()
    found = [kind for kind in all_types() if _holds(kind, gpus, gpu_memory_bytes)
             and kind.vcpus >= vcpus and kind.memory_bytes >= memory_bytes
             and (kind.serves_on_hyperpod if hyperpod else kind.hosting)]

    def cheapest(kind: InstanceType) -> tuple[Decimal, int, int, str]:
        price = book.price(kind.name, region).on_demand
        return (_DEAR if price is None else price, kind.gpus * kind.gpu_memory_bytes, kind.vcpus, kind.name)

    return sorted(found, key=cheapest)


def _holds(kind: InstanceType, gpus: int, gpu_memory_bytes: int) -> bool:
    if not gpus:
        return not kind.accelerator
    return kind.gpus >= gpus and kind.gpu_memory_bytes >= gpu_memory_bytes
