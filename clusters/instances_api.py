"""The route for instance types: what each has, what it costs, and which hold a wish."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from ninja import Query, Router, Schema
from pydantic import Field, StringConstraints

from clusters.instances import InstanceType, PriceBook, all_types, fitting, price_book
from clusters.units import GIB
from portal.tenancy.auth import ApiRequest
from portal.tenancy.pagination import ClosedQuery

router = Router(tags=["places"])


class TypesIn(ClosedQuery):
    """With `gpus` only types that hold so much are listed, the cheapest first; without it every type is."""

    region: Annotated[str, StringConstraints(max_length=30, pattern=r"^[a-z0-9-]*$")] = "us-east-1"
    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    gpu_memory_gib: Annotated[float, Field(ge=0, le=1024)] = 0
    vcpus: Annotated[int, Field(ge=0, le=1024)] = 0
    memory_gib: Annotated[float, Field(ge=0, le=65_536)] = 0
    hyperpod: bool = False


class InstanceTypeOut(Schema):
    """`pods` 0: not known. Prices are of one instance for an hour; null: the price book has none."""

    name: str
    vcpus: int
    memory_bytes: int
    accelerator: str
    gpus: int
    neuron: int
    gpu_memory_bytes: int
    pods: int
    local_disk: bool
    partitions: list[str]
    hyperpod: bool
    sagemaker: bool
    on_demand: float | None
    spot: float | None


class InstanceTypesOut(Schema):
    """`problem` says what is wrong with the price book's file, whose last good prices these then are."""

    region: str
    currency: str
    as_of: str
    source: str
    problem: str
    items: list[InstanceTypeOut]


@router.get("/instance-types", response=InstanceTypesOut, summary="List instance types of AWS with their prices")
def list_instance_types(request: ApiRequest, wish: Query[TypesIn]) -> InstanceTypesOut:
    book = price_book()
    found = all_types() if wish.gpus is None else fitting(
        wish.gpus, int(wish.gpu_memory_gib * GIB), region=wish.region, vcpus=wish.vcpus,
        memory_bytes=int(wish.memory_gib * GIB), hyperpod=wish.hyperpod)
    return InstanceTypesOut(
        region=wish.region, currency=book.currency, as_of=book.as_of, source=book.source, problem=book.problem,
        items=[_out(kind, book, wish.region) for kind in found])


def _out(kind: InstanceType, book: PriceBook, region: str) -> InstanceTypeOut:
    price = book.price(kind.name, region)
    return InstanceTypeOut(
        name=kind.name, vcpus=kind.vcpus, memory_bytes=kind.memory_bytes, accelerator=kind.accelerator, gpus=kind.gpus,
        neuron=kind.neuron, gpu_memory_bytes=kind.gpu_memory_bytes, pods=kind.pods, local_disk=kind.local_disk,
        partitions=list(kind.partitions), hyperpod=kind.serves_on_hyperpod, sagemaker=kind.hosting,
        on_demand=_number(price.on_demand), spot=_number(price.spot))


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
